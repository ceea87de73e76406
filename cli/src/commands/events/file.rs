//! The file of an export: plain lines, or lines in frames of zstd. Each frame holds whole lines, so that an export that was
//! interrupted goes on after the last whole one.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use anyhow::{Context, bail};
use cabildo_events::EventId;
use cabildo_events::limits::{EXPORT_FRAME_BYTES, IMPORT_LINE_BYTES_MAX};
use cabildo_events::wire::{Ledger, Line};
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

/// How zstd begins.
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Largest frame of an export: lines are written until there are enough.
const FRAME_BYTES_MAX: u64 = EXPORT_FRAME_BYTES as u64 + IMPORT_LINE_BYTES_MAX;
/// Lines handed to a pipe or a plain file at once, in bytes.
const WRITE_BYTES: usize = 64 * 1024;

/// Lines from a file or stdin, whatever they are packed in.
pub(in crate::commands) type Lines = BufReader<Box<dyn Read + Send>>;

/// Opens a file, or stdin for `-`; tells its size if it is known and not packed.
pub(in crate::commands) fn open(path: &Path) -> anyhow::Result<(Lines, Option<u64>)> {
    let (mut file, bytes): (BufReader<Box<dyn Read + Send>>, _) = if path == Path::new("-") {
        (BufReader::new(Box::new(io::stdin())), None)
    } else {
        let file = File::open(path).with_context(|| path.display().to_string())?;
        let bytes = file.metadata().ok().filter(std::fs::Metadata::is_file).map(|metadata| metadata.len());
        (BufReader::new(Box::new(file)), bytes)
    };
    if file.fill_buf()?.starts_with(&MAGIC) {
        return Ok((BufReader::new(Box::new(Frames { from: Some(file), frame: None })), None));
    }
    Ok((file, bytes))
}

/// One line with its end; `None` after the last.
pub(in crate::commands) fn read_line(lines: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let read = lines.by_ref().take(IMPORT_LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
    if read == 0 {
        return Ok(None);
    }
    if u64::try_from(read).is_ok_and(|read| read == IMPORT_LINE_BYTES_MAX) && !line.ends_with(b"\n") {
        let reason = format!("longer than {IMPORT_LINE_BYTES_MAX} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    }
    Ok(Some(line))
}

/// Unpacks the next frame of those that [`Writer`] writes.
fn unpack(from: &mut impl BufRead, lines: &mut Vec<u8>) -> io::Result<()> {
    let mut frame = StreamingDecoder::new(from).map_err(no_frame)?;
    let read = frame.by_ref().take(FRAME_BYTES_MAX + 1).read_to_end(lines)?;
    if u64::try_from(read).is_ok_and(|read| read <= FRAME_BYTES_MAX) {
        return Ok(());
    }
    Err(no_frame("it is larger than those of an export"))
}

fn no_frame(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Unpacks frame after frame, as one.
struct Frames<R: Read> {
    from: Option<R>,
    frame: Option<StreamingDecoder<R, FrameDecoder>>,
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(frame) = &mut self.frame {
                let read = frame.read(buffer)?;
                if read > 0 || buffer.is_empty() {
                    return Ok(read);
                }
                self.from = self.frame.take().map(StreamingDecoder::into_inner);
            }
            let Some(mut from) = self.from.take() else { return Ok(0) };
            if from.fill_buf()?.is_empty() {
                return Ok(0);
            }
            self.frame = Some(StreamingDecoder::new(from).map_err(no_frame)?);
        }
    }
}

/// Where an export is written.
pub(super) struct Writer {
    out: Box<dyn Write + Send>,
    packed: bool,
    /// Lines that are not written yet.
    waiting: Vec<u8>,
}

impl Writer {
    /// To stdout.
    pub(super) fn stdout(packed: bool) -> Self {
        Self { out: Box::new(io::stdout()), packed, waiting: Vec::new() }
    }

    /// To a new file.
    pub(super) fn create(path: &Path, packed: bool) -> anyhow::Result<Self> {
        let opened = OpenOptions::new().write(true).create_new(true).open(path);
        let file = match opened {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                bail!("{} is there already: go on with --resume, or remove it", path.display())
            }
            opened => opened.with_context(|| path.display().to_string())?,
        };
        Ok(Self { out: Box::new(file), packed, waiting: Vec::new() })
    }

    /// To the end of what is whole in a file, which is packed if it is, or if it is empty and is to be; tells what that is, and the id of its last event.
    pub(super) fn resume(path: &Path, packed: bool) -> anyhow::Result<(Self, Ledger, Option<EventId>)> {
        let opened = OpenOptions::new().read(true).write(true).open(path);
        let mut file = opened.with_context(|| path.display().to_string())?;
        let mut from = Counting { inner: BufReader::new(file.try_clone()?), bytes: 0 };
        let begins = from.fill_buf()?;
        let packed = if begins.is_empty() { packed } else { begins.starts_with(&MAGIC) };
        let mut found = Found { ledger: Ledger::default(), last: None, lines: 0 };
        let mut whole = 0;
        while !from.fill_buf()?.is_empty() {
            if packed {
                let mut lines = Vec::new();
                // A frame that breaks off is the one that was being written.
                if unpack(&mut from, &mut lines).is_err() {
                    break;
                }
                let mut lines = &lines[..];
                while let Some(line) = read_line(&mut lines)? {
                    found.take(&line, path)?;
                }
            } else {
                match read_line(&mut from)? {
                    Some(line) if line.ends_with(b"\n") => found.take(&line, path)?,
                    _ => break,
                }
            }
            whole = from.bytes;
        }
        drop(from);
        file.set_len(whole)?;
        file.seek(SeekFrom::End(0))?;
        Ok((Self { out: Box::new(file), packed, waiting: Vec::new() }, found.ledger, found.last))
    }

    /// Whether what is written is packed.
    pub(super) const fn packed(&self) -> bool {
        self.packed
    }

    /// Writes a line, with its end; it may wait for others.
    pub(super) fn write(&mut self, line: &str) -> io::Result<()> {
        self.waiting.extend_from_slice(line.as_bytes());
        if self.waiting.len() >= if self.packed { EXPORT_FRAME_BYTES } else { WRITE_BYTES } {
            self.flush()
        } else {
            Ok(())
        }
    }

    /// Writes what waits.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let lines = std::mem::take(&mut self.waiting);
        if lines.is_empty() {
            return Ok(());
        }
        if self.packed {
            self.out.write_all(&compress_to_vec(&lines[..], CompressionLevel::Fastest))?;
        } else {
            self.out.write_all(&lines)?;
        }
        self.out.flush()
    }
}

/// What was found in a file that is gone on with.
struct Found {
    ledger: Ledger,
    last: Option<EventId>,
    lines: u64,
}

impl Found {
    fn take(&mut self, line: &[u8], path: &Path) -> anyhow::Result<()> {
        self.lines += 1;
        let at = || format!("{}, line {}", path.display(), self.lines);
        let text = std::str::from_utf8(line).with_context(at)?;
        match self.ledger.read(text).with_context(at)? {
            Line::Event(envelope, _) => self.last = Some(envelope.id),
            Line::Unreadable(_) => self.last = None,
            Line::End(_) => {}
        }
        if self.ledger.linked() == Some(false) {
            bail!("{}: there are no links in it, so it is no export that can be gone on with", at());
        }
        Ok(())
    }
}

/// Counts what was taken.
struct Counting<R> {
    inner: R,
    bytes: u64,
}

impl<R: BufRead> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.bytes += read as u64;
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Counting<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, bytes: usize) {
        self.inner.consume(bytes);
        self.bytes += bytes as u64;
    }
}
