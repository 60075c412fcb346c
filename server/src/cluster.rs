//! The broker as a member of its cluster: it follows the metadata, holds the replicas that are assigned to it, and answers
//! what is asked about topics, configs and brokers.
//!
//! | File | What it decides |
//! |---|---|
//! | `node` | how a broker starts on its data directory, and in which order it stops |
//! | `reconcile` | which replicas are opened, told of new configs, closed and removed |
//! | `maintenance` | when what is due every few seconds is done |
//! | `producer_ids` | which producer id is given out next |
//! | `calls`, `describe` | what the service `Broker` says about topics and brokers |
//! | `admin` and its folder | what each call of the service `Admin` does |

pub mod admin;
mod calls;
mod describe;
mod maintenance;
mod node;
mod producer_ids;
mod reconcile;

pub use node::{Node, NodeConfig, StartError, TopicDefaults};
