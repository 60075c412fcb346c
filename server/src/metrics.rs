//! What a broker counts, in the text format of Prometheus.

use std::fmt;
use std::sync::Mutex;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, LabelSetEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Metric, Registry};
use tidelog_proto::api::v1;

/// The counters of one broker.
pub struct Metrics {
    /// Changed while a part of the broker starts, read by `/metrics`.
    registry: Mutex<Registry>,
    batches_appended: Counter,
    batches_refused: Family<ByCode, Counter>,
    bytes_fetched: Counter,
    /// Set when the metrics are asked for.
    bytes_in_flight: Gauge,
    streams: Family<ByCall, Gauge>,
    /// Connections to the gRPC port that are open.
    pub connections: Gauge,
    /// Connections that were closed because there were too many.
    pub connections_refused: Counter,
}

/// A stream that is open; it is counted until this is dropped.
#[derive(Debug)]
pub(crate) struct OpenStream {
    gauge: Gauge,
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}

/// The name of a call.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ByCall {
    call: &'static str,
}

impl EncodeLabelSet for ByCall {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), fmt::Error> {
        [("call", self.call)].encode(encoder)
    }
}

/// The code of an error.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ByCode {
    code: String,
}

impl EncodeLabelSet for ByCode {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), fmt::Error> {
        [("code", self.code.as_str())].encode(encoder)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let metrics = Self {
            registry: Mutex::new(Registry::with_prefix("tidelog")),
            batches_appended: Counter::default(),
            batches_refused: Family::default(),
            bytes_fetched: Counter::default(),
            bytes_in_flight: Gauge::default(),
            streams: Family::default(),
            connections: Gauge::default(),
            connections_refused: Counter::default(),
        };
        metrics.register("produce_batches", "Batches that were appended", metrics.batches_appended.clone());
        metrics.register("produce_batches_refused", "Batches that were refused", metrics.batches_refused.clone());
        metrics.register("fetch_bytes", "Bytes of batches that were pushed to readers", metrics.bytes_fetched.clone());
        let in_flight = metrics.bytes_in_flight.clone();
        metrics.register("produce_in_flight_bytes", "Produced bytes without an ack", in_flight);
        metrics.register("streams", "Open streams", metrics.streams.clone());
        metrics.register("connections", "Open connections to the gRPC port", metrics.connections.clone());
        let refused = metrics.connections_refused.clone();
        metrics.register("connections_refused", "Connections closed because there were too many", refused);
        metrics
    }
}

impl Metrics {
    /// Adds a metric of another part of the broker.
    pub fn register(&self, name: &str, help: &str, metric: impl Metric) {
        let mut registry = self.registry.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        registry.register(name, help, metric);
    }

    /// Writes all metrics as text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let registry = self.registry.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut text = String::new();
        let written = encode(&mut text, &registry);
        debug_assert!(written.is_ok(), "writing to a string does not fail");
        text
    }

    pub(crate) fn set_bytes_in_flight(&self, bytes: usize) {
        self.bytes_in_flight.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Counts a stream of this call for as long as the caller keeps what it gets.
    pub(crate) fn stream(&self, call: &'static str) -> OpenStream {
        let gauge = self.streams.get_or_create(&ByCall { call }).clone();
        gauge.inc();
        OpenStream { gauge }
    }

    pub(crate) fn batch_appended(&self) {
        self.batches_appended.inc();
    }

    pub(crate) fn batch_refused(&self, error: &v1::Error) {
        let code = error.known_code().map_or_else(|| error.code.to_string(), |code| code.name().to_owned());
        self.batches_refused.get_or_create(&ByCode { code }).inc();
    }

    pub(crate) fn bytes_fetched(&self, bytes: u64) {
        self.bytes_fetched.inc_by(bytes);
    }
}

#[cfg(test)]
mod tests {
    use tidelog_proto::error_code::ErrorCode;

    use super::*;

    #[test]
    fn what_is_counted_is_told_by_name() {
        let metrics = Metrics::default();
        metrics.batch_appended();
        metrics.batch_refused(&v1::Error::new(ErrorCode::NotLeader, ""));
        let text = metrics.to_text();
        assert!(text.contains("tidelog_produce_batches_total 1\n"), "{text}");
        assert!(text.contains("tidelog_produce_batches_refused_total{code=\"NOT_LEADER\"} 1\n"), "{text}");
        let stream = metrics.stream("Fetch");
        assert!(metrics.to_text().contains("tidelog_streams{call=\"Fetch\"} 1\n"));
        drop(stream);
        assert!(metrics.to_text().contains("tidelog_streams{call=\"Fetch\"} 0\n"));
    }
}
