//! What a broker is told when it starts: `tidelog.toml`, above it the environment, above that the command line.
//!
//! - [`BrokerConfig`]: all of it, typed
//! - [`Settings`]: texts by key, from all sources
//! - `key.rs`: which keys there are, with units, defaults, bounds and a sentence each
//! - [`print_default`]: the file with every default
//!
//! ```
//! use tidelog_server::config::{BrokerConfig, Settings};
//!
//! let mut settings = Settings::default();
//! settings.read_file("tidelog.toml", "data_dir = \"data\"\nnode_id = 3\n[topic]\nretention_ms = 1000\n")?;
//! settings.read_environment([("TIDELOG_NODE_ID".to_owned(), "4".to_owned())])?;
//! settings.set_flag("listen", "127.0.0.1:9000")?;
//!
//! let config = BrokerConfig::new(&settings)?;
//! assert_eq!((config.node_id.get(), config.listen.to_string()), (4, "127.0.0.1:9000".to_owned()));
//!
//! let unknown = settings.read_file("tidelog.toml", "request_timeout = 5").unwrap_err();
//! assert!(unknown.to_string().contains("nearest is request_timeout_ms"));
//! # Ok::<(), tidelog_server::config::ConfigError>(())
//! ```

mod broker_config;
mod error;
mod key;
mod print;
mod settings;

pub use broker_config::BrokerConfig;
pub use error::ConfigError;
pub use key::{BrokerConfigKey, Kind};
pub use print::print_default;
pub use settings::{Settings, Source};
