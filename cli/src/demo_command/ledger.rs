//! What was sent and what came back, by key: enough to tell whether every record came once and in order.

use std::collections::HashMap;

use bytes::Bytes;

/// Records of each key, in order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Ledger {
    by_key: HashMap<Bytes, Account>,
}

/// Records of one key: how many, and a checksum over all of them in their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Account {
    records: u64,
    bytes: u64,
    checksum: u32,
}

impl Ledger {
    /// Notes the next record of a key.
    pub(super) fn note(&mut self, key: &Bytes, value: &[u8]) {
        if let Some(account) = self.by_key.get_mut(key) {
            account.note(value);
            return;
        }
        let mut account = Account::default();
        account.note(value);
        self.by_key.insert(key.clone(), account);
    }

    /// Counts the records.
    pub(super) fn records(&self) -> u64 {
        self.by_key.values().map(|account| account.records).sum()
    }

    /// Counts the keys.
    pub(super) fn keys(&self) -> usize {
        self.by_key.len()
    }
}

impl Account {
    fn note(&mut self, value: &[u8]) {
        let mut checksum = crc32fast::Hasher::new_with_initial(self.checksum);
        // The length too, or two records could pass for two others with the same bytes.
        checksum.update(&(value.len() as u64).to_le_bytes());
        checksum.update(value);
        self.checksum = checksum.finalize();
        self.records += 1;
        self.bytes += value.len() as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(values: &[&str]) -> Ledger {
        let mut ledger = Ledger::default();
        values.iter().for_each(|value| ledger.note(&Bytes::from_static(b"key"), value.as_bytes()));
        ledger
    }

    #[test]
    fn a_record_that_is_missing_doubled_moved_or_cut_elsewhere_is_found() {
        let sent = ledger(&["a", "b", "cd"]);
        assert_eq!(sent, ledger(&["a", "b", "cd"]));
        for other in [&["a", "cd"][..], &["a", "b", "b", "cd"], &["b", "a", "cd"], &["a", "bc", "d"], &["a", "b", "cD"]]
        {
            assert_ne!(sent, ledger(other), "{other:?}");
        }
        assert_eq!((sent.records(), sent.keys()), (3, 1));
    }
}
