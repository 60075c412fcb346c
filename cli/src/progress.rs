//! A progress bar on the standard error, where somebody looks at it.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Work that takes long enough for a bar.
const SHOWN_FROM_BYTES: u64 = 64 * 1024 * 1024;

/// A bar that shows bytes, rate and the time that is left; or nothing, where the standard error is not a terminal, is
/// not to be written to, or the work is done in a moment.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    pub(crate) fn new(total_bytes: u64, is_quiet: bool) -> Self {
        if is_quiet || total_bytes < SHOWN_FROM_BYTES {
            return Self { bar: ProgressBar::hidden() };
        }
        let template = "[{bar:30}] {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left";
        let style = ProgressStyle::with_template(template).expect("the template is well-formed");
        // Draws nothing where the standard error is not a terminal.
        let bar = ProgressBar::with_draw_target(Some(total_bytes), ProgressDrawTarget::stderr());
        Self { bar: bar.with_style(style.progress_chars("=> ")) }
    }

    /// Bytes of which nobody knows how many there are.
    pub(crate) fn bytes(is_quiet: bool) -> Self {
        Self::always(is_quiet, None, "{spinner} {binary_bytes}, {binary_bytes_per_sec}, {elapsed}")
    }

    /// Records, so many of them.
    pub(crate) fn records(total: u64, is_quiet: bool) -> Self {
        Self::always(is_quiet, Some(total), "[{bar:30}] {pos} of {len} records, {per_sec}, {eta} left")
    }

    fn always(is_quiet: bool, total: Option<u64>, template: &str) -> Self {
        if is_quiet {
            return Self { bar: ProgressBar::hidden() };
        }
        let style = ProgressStyle::with_template(template).expect("the template is well-formed");
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
        Self { bar: bar.with_style(style.progress_chars("=> ")) }
    }

    /// Moves the bar.
    pub(crate) fn advance(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    /// Runs `print` with the bar out of the way.
    pub(crate) fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
