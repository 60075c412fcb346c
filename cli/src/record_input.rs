//! Records out of files and the standard input, read by a thread of its own.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::thread;

use tokio::sync::mpsc;

use crate::command_error::CommandError;
use crate::input_format::{InputError, InputFormat, InputRecord, find};

/// Bytes that one record may take in the input: far more than any broker takes, and little enough to hold.
const RECORD_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Records that are handed over at once, and their bytes: enough that handing over costs nothing.
const CHUNK_RECORDS: usize = 1024;
const CHUNK_BYTES: usize = 256 * 1024;

/// Chunks that may wait for the producer: one is read while one is sent.
const CHUNKS_WAITING: usize = 2;

/// Bytes that are asked of the machine at once.
const READ_BYTES: usize = 256 * 1024;

/// Where a record comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The so-manieth record of the standard input or of a file, from 1.
    Input { source: std::sync::Arc<str>, number: u64 },
    /// The so-manieth `--value`, from 1.
    Value { number: u64 },
}

/// A record, where it comes from, and how many bytes of input it took.
#[derive(Debug)]
pub(crate) struct ReadRecord {
    pub(crate) origin: Origin,
    pub(crate) record: InputRecord,
    pub(crate) input_bytes: u64,
}

/// Why reading stopped.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// The file could not be read on.
    Io(io::Error),
    /// A record is not as the format says.
    Format(InputError),
    /// A record is longer than can be held.
    TooLong,
}

/// Some records; and why there are no more, where something went wrong.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    pub(crate) records: Vec<ReadRecord>,
    pub(crate) failure: Option<(Origin, ReadError)>,
}

/// Starts to read the files in order; `-` is the standard input. All of them are opened before anything is read.
pub(crate) fn start(files: &[PathBuf], format: InputFormat) -> Result<mpsc::Receiver<Chunk>, CommandError> {
    let mut sources: Vec<(String, Box<dyn Read + Send>)> = Vec::new();
    for path in files {
        if path == Path::new("-") {
            sources.push(("standard input".to_owned(), Box::new(io::stdin())));
        } else {
            let io_error = |error| CommandError::Io { path: path.clone(), error };
            let file = File::open(path).map_err(io_error)?;
            if file.metadata().map_err(io_error)?.is_dir() {
                return Err(io_error(io::ErrorKind::IsADirectory.into()));
            }
            sources.push((path.display().to_string(), Box::new(file)));
        }
    }
    let (sender, receiver) = mpsc::channel(CHUNKS_WAITING);
    let read = move || {
        for (name, source) in sources {
            let mut input = Input::new(&name, source);
            loop {
                let chunk = input.chunk(&format);
                let is_last = chunk.records.is_empty() || chunk.failure.is_some();
                let has_failed = chunk.failure.is_some();
                // Nobody takes more, or nothing more may be taken.
                if sender.blocking_send(chunk).is_err() || has_failed {
                    return;
                }
                if is_last {
                    break;
                }
            }
        }
    };
    thread::Builder::new().name("input".to_owned()).spawn(read).map_err(CommandError::Runtime)?;
    Ok(receiver)
}

/// A source that is read.
struct Input<R> {
    name: std::sync::Arc<str>,
    reader: BufReader<R>,
    line: Vec<u8>,
    number: u64,
}

impl<R: Read> Input<R> {
    fn new(name: &str, source: R) -> Self {
        Self { name: name.into(), reader: BufReader::with_capacity(READ_BYTES, source), line: Vec::new(), number: 0 }
    }

    /// Reads until there is enough, or until the next record would have to be waited for.
    fn chunk(&mut self, format: &InputFormat) -> Chunk {
        let mut chunk = Chunk::default();
        let mut bytes = 0;
        while chunk.records.len() < CHUNK_RECORDS && bytes < CHUNK_BYTES {
            let read = self.next_bytes(format.record_end());
            let origin = Origin::Input { source: std::sync::Arc::clone(&self.name), number: self.number + 1 };
            let input_bytes = match read {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) => {
                    chunk.failure = Some((origin, error));
                    break;
                }
            };
            self.number += 1;
            bytes += input_bytes;
            match format.read(&self.line) {
                Ok(record) => chunk.records.push(ReadRecord { origin, record, input_bytes: input_bytes as u64 }),
                Err(error) => {
                    chunk.failure = Some((origin, ReadError::Format(error)));
                    break;
                }
            }
            // What was begun may be long in coming, and those before it must not wait for it.
            if find(self.reader.buffer(), format.record_end()).is_none() {
                break;
            }
        }
        chunk
    }

    /// Reads up to `end`, or to the end of the input, and leaves out `end`. Gives how many bytes that took; none at the end.
    fn next_bytes(&mut self, end: &[u8]) -> Result<usize, ReadError> {
        self.line.clear();
        let last = end.last().copied().unwrap_or(b'\n');
        loop {
            let room = (RECORD_BYTES_MAX - self.line.len()) as u64;
            let read = self.reader.by_ref().take(room).read_until(last, &mut self.line).map_err(ReadError::Io)?;
            let length = self.line.len();
            if self.line.ends_with(end) {
                self.line.truncate(length - end.len());
                return Ok(length);
            }
            if length == RECORD_BYTES_MAX {
                return Err(ReadError::TooLong);
            }
            if read == 0 {
                return Ok(length);
            }
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input { source, number } => write!(f, "record {number} of {source}"),
            Self::Value { number } => write!(f, "value {number}"),
        }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Format(error) => error.fmt(f),
            Self::TooLong => write!(f, "it has no end within {RECORD_BYTES_MAX} bytes"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(format: &str, input: &[u8]) -> Vec<Vec<u8>> {
        let format: InputFormat = format.parse().unwrap();
        let mut input = Input::new("test", input);
        let mut values = Vec::new();
        loop {
            let chunk = input.chunk(&format);
            assert!(chunk.failure.is_none());
            if chunk.records.is_empty() {
                return values;
            }
            values.extend(chunk.records.into_iter().map(|read| read.record.value.unwrap().to_vec()));
        }
    }

    #[test]
    fn lines_are_cut_where_they_end_and_nowhere_else() {
        for (input, expected) in [
            (&b""[..], &[][..]),
            (b"a", &[&b"a"[..]]),
            (b"a\n", &[b"a"]),
            (b"a\n\nb", &[b"a", b"", b"b"]),
            (b"\n", &[b""]),
            (b"\xff\r\n\0", &[b"\xff\r", b"\0"]),
        ] {
            assert_eq!(values("%v", input), expected);
        }
        assert_eq!(values("%v\\r\\n", b"a\nb\r\nc\r\r\n"), [&b"a\nb"[..], b"c\r"]);
        assert_eq!(values("%v\\0", b"a\nb\0c"), [&b"a\nb"[..], b"c"]);
    }

    #[test]
    fn many_lines_come_in_bounded_chunks_and_in_order() {
        let input: Vec<u8> = (0..5000).flat_map(|number| format!("line {number}\n").into_bytes()).collect();
        let expected: Vec<Vec<u8>> = (0..5000).map(|number| format!("line {number}").into_bytes()).collect();
        assert_eq!(values("%v", &input), expected);
        let chunk = Input::new("test", &input[..]).chunk(&InputFormat::value_line());
        assert_eq!(chunk.records.len(), CHUNK_RECORDS);
    }

    #[test]
    fn a_record_that_breaks_the_format_is_named() {
        let chunk = Input::new("f", &b"k:v\nno\nk:v\n"[..]).chunk(&"%k:%v".parse().unwrap());
        let (origin, error) = chunk.failure.unwrap();
        assert_eq!((chunk.records.len(), origin.to_string()), (1, "record 2 of f".to_owned()));
        assert!(matches!(error, ReadError::Format(_)));
    }
}
