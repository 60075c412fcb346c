//! Which brokers get the replicas of new partitions.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use tidelog_proto::error_code::ErrorCode;
use tidelog_proto::ids::BrokerId;

use super::{Assignment, MetadataState, Rack};

/// A broker that may get replicas, and what it has already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerLoad {
    /// The broker.
    pub broker_id: BrokerId,
    /// Where it stands; `None` counts as a rack of its own.
    pub rack: Option<Rack>,
    /// How many replicas it holds.
    pub replicas: usize,
    /// How many partitions it is the preferred leader of.
    pub leaders: usize,
}

impl MetadataState {
    /// Tells how much every registered broker has, by rising number. Who asks leaves out those that must get no replicas
    /// now.
    #[must_use]
    pub fn broker_loads(&self) -> Vec<BrokerLoad> {
        let mut counts: BTreeMap<BrokerId, (usize, usize)> = BTreeMap::new();
        for partition in self.topics.values().flat_map(|topic| &topic.partitions) {
            for (position, replica) in partition.replicas.iter().enumerate() {
                let (replicas, leaders) = counts.entry(replica.broker()).or_default();
                *replicas += 1;
                *leaders += usize::from(position == 0);
            }
        }
        let load = |(broker_id, broker): (BrokerId, &super::Broker)| {
            let (replicas, leaders) = counts.get(&broker_id).copied().unwrap_or_default();
            BrokerLoad { broker_id, rack: broker.rack.clone(), replicas, leaders }
        };
        self.brokers().map(load).collect()
    }
}

/// Chooses brokers for new partitions, the preferred leader of each first.
///
/// Every partition goes to different brokers, and to different racks while there are any. The leader is the broker with the
/// fewest leaders, then the fewest replicas; each follower is the one with the fewest replicas among the racks that have
/// the fewest of this partition. Among equals it goes round: leaders from partition to partition, followers behind
/// their leader. The same loads give the same answer.
///
/// # Errors
/// There are fewer brokers than replicas, or no replicas are asked for.
pub fn place(
    brokers: &[BrokerLoad],
    partition_count: u32,
    replication_factor: u32,
) -> Result<Vec<Assignment>, PlacementError> {
    let replicas = replication_factor as usize;
    if replicas == 0 || replicas > brokers.len() {
        return Err(PlacementError { replication_factor, brokers: brokers.len() });
    }
    let mut loads = brokers.to_vec();
    // Where the round stands: the position of the broker that comes first among equals.
    let mut turn = 0;
    let mut assignments = Vec::new();
    for _ in 0..partition_count {
        let mut chosen: Vec<usize> = Vec::with_capacity(replicas);
        let round = loads.len();
        let distance = |turn: usize, position: usize| (position + round - turn) % round;
        while chosen.len() < replicas {
            let free = (0..round).filter(|position| !chosen.contains(position));
            let best = if chosen.is_empty() {
                free.min_by_key(|&at| (loads[at].leaders, loads[at].replicas, distance(turn, at)))
            } else {
                free.min_by_key(|&at| (rack_mates(&loads, &chosen, at), loads[at].replicas, distance(turn, at)))
            };
            let Some(best) = best else { break };
            loads[best].leaders += usize::from(chosen.is_empty());
            loads[best].replicas += 1;
            turn = (best + 1) % round;
            chosen.push(best);
        }
        // The next leader is the one behind this leader, wherever the followers ended.
        turn = chosen.first().map_or(turn, |leader| (leader + 1) % round);
        let brokers: Vec<_> = chosen.iter().map(|&at| loads[at].broker_id).collect();
        debug_assert_eq!(brokers.iter().collect::<BTreeSet<_>>().len(), replicas, "each broker once");
        assignments.push(Assignment { brokers });
    }
    Ok(assignments)
}

/// Counts the chosen brokers that stand in the rack of another one.
fn rack_mates(loads: &[BrokerLoad], chosen: &[usize], at: usize) -> usize {
    let rack = loads[at].rack.as_ref();
    chosen.iter().filter(|&&other| rack.is_some() && loads[other].rack.as_ref() == rack).count()
}

/// Replicas cannot be placed: none are asked for, or more than there are brokers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlacementError {
    /// How many replicas each partition was to have.
    pub replication_factor: u32,
    /// How many brokers there are.
    pub brokers: usize,
}

impl PlacementError {
    /// Returns the code for the reply; it is not retriable.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        ErrorCode::InvalidReplicationFactor
    }
}

impl fmt::Display for PlacementError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { replication_factor, brokers } = self;
        write!(f, "replication factor is {replication_factor}, there are {brokers} brokers; 1 to as many are allowed")
    }
}

impl std::error::Error for PlacementError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn empty(broker: u32, rack: Option<u32>) -> BrokerLoad {
        let rack = rack.map(|rack| Rack::new(format!("rack-{rack}")).unwrap());
        BrokerLoad { broker_id: BrokerId::new(broker), rack, replicas: 0, leaders: 0 }
    }

    fn numbers(assignments: &[Assignment]) -> Vec<Vec<u32>> {
        assignments.iter().map(|assignment| assignment.brokers.iter().map(|id| id.get()).collect()).collect()
    }

    /// Adds what was placed to what there was.
    fn loads_after(brokers: &[BrokerLoad], assignments: &[Assignment]) -> Vec<BrokerLoad> {
        let mut loads = brokers.to_vec();
        for load in &mut loads {
            for assignment in assignments {
                load.replicas += usize::from(assignment.brokers.contains(&load.broker_id));
                load.leaders += usize::from(assignment.brokers[0] == load.broker_id);
            }
        }
        loads
    }

    fn spread(counts: impl Iterator<Item = usize> + Clone) -> usize {
        counts.clone().max().unwrap() - counts.min().unwrap()
    }

    #[test]
    fn one_broker_gets_everything() {
        assert_eq!(numbers(&place(&[empty(4, None)], 3, 1).unwrap()), [[4], [4], [4]]);
    }

    #[test]
    fn three_brokers_take_turns() {
        let brokers = [empty(1, None), empty(2, None), empty(3, None)];
        assert_eq!(numbers(&place(&brokers, 4, 3).unwrap()), [[1, 2, 3], [2, 3, 1], [3, 1, 2], [1, 2, 3]]);
    }

    #[test]
    fn a_new_broker_catches_up() {
        let brokers = [BrokerLoad { replicas: 6, leaders: 6, ..empty(1, None) }, empty(2, None)];
        assert_eq!(numbers(&place(&brokers, 3, 1).unwrap()), [[2], [2], [2]]);
    }

    #[test]
    fn more_replicas_than_brokers_and_none_are_refused() {
        for replication_factor in [0, 2, u32::MAX] {
            let error = place(&[empty(1, None)], 1, replication_factor).unwrap_err();
            assert_eq!(error, PlacementError { replication_factor, brokers: 1 });
        }
        assert!(place(&[], 1, 1).is_err());
    }

    proptest! {
        #[test]
        fn leaders_and_replicas_are_even(brokers in 1..12_u32, partitions in 0..60_u32, replicas in 1..6_u32) {
            let replicas = replicas.min(brokers);
            let brokers: Vec<_> = (0..brokers).map(|id| empty(id, None)).collect();
            let loads = loads_after(&brokers, &place(&brokers, partitions, replicas).unwrap());
            prop_assert!(spread(loads.iter().map(|load| load.leaders)) <= 1);
            // Leaders come first, so the last of them may meet a broker that has a follower more than others.
            prop_assert!(spread(loads.iter().map(|load| load.replicas)) <= 2);
        }

        #[test]
        fn whatever_there_was_brokers_differ_and_racks_are_used(
            brokers in prop::collection::vec((prop::option::of(0..4_u32), 0..50_usize, 0..20_usize), 1..10),
            partitions in 0..30_u32,
            replicas in 1..5_u32,
        ) {
            let numbered = (0..).zip(brokers);
            let brokers: Vec<_> = numbered
                .map(|(id, (rack, replicas, leaders))| BrokerLoad { replicas, leaders, ..empty(id, rack) })
                .collect();
            let replicas = replicas.min(u32::try_from(brokers.len()).unwrap());
            let assignments = place(&brokers, partitions, replicas).unwrap();
            prop_assert_eq!(assignments.len(), partitions as usize);
            let places = |id: &BrokerId| {
                let load = brokers.iter().find(|load| load.broker_id == *id).unwrap();
                load.rack.clone().map_or(format!("alone {id}"), |rack| rack.to_string())
            };
            let all: BTreeSet<_> = brokers.iter().map(|load| places(&load.broker_id)).collect();
            for assignment in &assignments {
                let ids: BTreeSet<_> = assignment.brokers.iter().collect();
                prop_assert_eq!(ids.len(), replicas as usize);
                let used: BTreeSet<_> = assignment.brokers.iter().map(places).collect();
                prop_assert_eq!(used.len(), all.len().min(replicas as usize));
            }
        }
    }
}
