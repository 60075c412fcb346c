//! Real text: the lines of files that somebody wrote for another purpose.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::command_error::CommandError;

/// With less text than this in the current directory, more is looked for.
const ENOUGH_BYTES: u64 = 16 * 1024 * 1024;

/// A larger file is passed over: it is hardly text.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A longer line does not fit a batch of the default size.
const LINE_BYTES_MAX: usize = 512 * 1024;

/// Directories below which nobody has written anything by hand.
const PASSED_OVER: [&str; 3] = ["target", "node_modules", "__pycache__"];

/// What the tour produces.
pub(super) struct Input {
    pub(super) files: Vec<TextFile>,
    /// Bytes of all lines.
    pub(super) bytes: u64,
    /// How many lines there are.
    pub(super) lines: u64,
}

/// One file.
pub(super) struct TextFile {
    /// Its path, the key of its records.
    pub(super) key: String,
    pub(super) text: Bytes,
}

impl TextFile {
    /// Gives the lines, without their ends. They share the memory of the file.
    pub(super) fn lines(&self) -> impl Iterator<Item = Bytes> {
        let lines = self.text.split(|byte| *byte == b'\n');
        // What stands behind the last line end is a line only if there is something.
        lines.map(|line| self.text.slice_ref(line)).filter(|line| !line.is_empty())
    }
}

/// Reads text files below `paths` in the order of their names, up to `bytes_max`.
///
/// # Errors
/// A path cannot be read, or there is no text.
pub(super) fn read(paths: &[PathBuf], bytes_max: u64) -> Result<Input, CommandError> {
    let mut input = Input { files: Vec::new(), bytes: 0, lines: 0 };
    if paths.is_empty() {
        input.take(Path::new("."), bytes_max)?;
        if let Some(crates) = crate_sources().filter(|_| input.bytes < ENOUGH_BYTES.min(bytes_max)) {
            input.take(&crates, bytes_max)?;
        }
    }
    paths.iter().try_for_each(|path| input.take(path, bytes_max))?;
    if input.lines == 0 {
        return Err(CommandError::NoText);
    }
    Ok(input)
}

/// Gives where the sources of crates lie, if there are any.
fn crate_sources() -> Option<PathBuf> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")))?;
    Some(home.join("registry").join("src")).filter(|sources| sources.is_dir())
}

impl Input {
    fn take(&mut self, path: &Path, bytes_max: u64) -> Result<(), CommandError> {
        let io_error = |error| CommandError::Io { path: path.to_owned(), error };
        let metadata = fs::metadata(path).map_err(io_error)?;
        if metadata.is_dir() {
            let mut entries =
                fs::read_dir(path).map_err(io_error)?.collect::<io::Result<Vec<_>>>().map_err(io_error)?;
            entries.sort_unstable_by_key(fs::DirEntry::file_name);
            for entry in entries {
                let name = entry.file_name();
                let name = name.to_string_lossy();
                // A link may lead round in a circle.
                let is_link = entry.file_type().map_err(io_error)?.is_symlink();
                if is_link || name.starts_with('.') || PASSED_OVER.contains(&name.as_ref()) {
                    continue;
                }
                if self.bytes >= bytes_max {
                    break;
                }
                self.take(&entry.path(), bytes_max)?;
            }
            return Ok(());
        }
        if metadata.is_file() && metadata.len() <= FILE_BYTES_MAX.min(bytes_max - self.bytes.min(bytes_max)) {
            let text = Bytes::from(fs::read(path).map_err(io_error)?);
            self.add(path, text);
        }
        Ok(())
    }

    /// Adds a file if it is text.
    fn add(&mut self, path: &Path, text: Bytes) {
        let is_text = std::str::from_utf8(&text).is_ok() && !text.contains(&0);
        let file = TextFile { key: path.display().to_string(), text };
        if !is_text || file.lines().any(|line| line.len() > LINE_BYTES_MAX) {
            return;
        }
        let (lines, bytes) = file.lines().fold((0, 0), |(lines, bytes), line| (lines + 1, bytes + line.len() as u64));
        if lines > 0 {
            self.lines += lines;
            self.bytes += bytes;
            self.files.push(file);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_text_is_taken_and_every_line_of_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let write = |name: &str, content: &[u8]| fs::write(dir.path().join(name), content).expect("it is written");
        write("b.txt", b"three\nfour");
        write("a.txt", b"one\n\ntwo\n");
        write("binary", b"one\0two\n");
        write(".hidden", b"hidden\n");
        write("empty", b"");
        fs::create_dir(dir.path().join("target")).expect("a directory");
        fs::write(dir.path().join("target/built.txt"), "built\n").expect("it is written");
        let input = read(&[dir.path().to_owned()], 1000).expect("there is text");
        let lines: Vec<Bytes> = input.files.iter().flat_map(TextFile::lines).collect();
        assert_eq!(lines, ["one", "two", "three", "four"]);
        assert_eq!((input.lines, input.bytes), (4, 15));
        assert!(matches!(read(&[dir.path().join("empty")], 1000), Err(CommandError::NoText)));
    }
}
