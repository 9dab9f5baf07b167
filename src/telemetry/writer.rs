//! The thread that writes the log.
//!
//! A call that wrote its lines itself would wait for whoever reads them, and wake them for each line.
//! Here it leaves them in memory, and a thread writes as many at once as there are. A reader that has
//! stopped holds up nobody: beyond [`MOST_BYTES`] lines are lost and counted, errors and those of the
//! audit trail beyond [`MOST_BYTES_OF_WEIGHT`]. What a killed process has not written is lost as well.

use std::{
    io::{self, ErrorKind, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use tokio::time::Instant;
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

use super::AUDIT;

/// Some 3,000 lines: what a reader that pauses for a moment finds when it goes on.
const MOST_BYTES: usize = 1 << 20;
/// Room for some 150,000 lines that somebody may miss. Without a bound a reader that has stopped would
/// cost the process its memory, and with it everything that is in it.
const MOST_BYTES_OF_WEIGHT: usize = 64 << 20;
/// The room that is kept where there was need of more: for the lines of a pause of a busy service.
const KEPT_BYTES: usize = 1 << 18;
/// The time between two writes of a busy service.
const PAUSE: Duration = Duration::from_millis(5);
/// A service is busy after so many writes with less than two pauses between them. A line of one that is
/// not is written at once.
const WRITES_WITHOUT_PAUSE: u32 = 8;
/// How long the end of the process waits for a reader.
const LONGEST_FLUSH: Duration = Duration::from_secs(5);

/// Where lines are left to be written. Clones are the same place.
#[derive(Clone, Debug)]
pub(super) struct Writer(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    has_lines: Condvar,
    is_written: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    lines: Vec<u8>,
    /// Lines for which there was no room.
    lost: u64,
    /// Whether the thread waits for a line. Else nobody has to wake it.
    is_idle: bool,
    is_writing: bool,
    /// Whether somebody waits until everything is written.
    is_awaited: bool,
}

impl Writer {
    /// Starts the thread.
    ///
    /// # Errors
    /// Those of the operating system.
    pub(super) fn start(output: impl Write + Send + 'static) -> io::Result<Self> {
        let writer = Self(Arc::default());
        let shared = Arc::clone(&writer.0);
        thread::Builder::new().name("log".to_owned()).spawn(move || shared.write(output))?;
        Ok(writer)
    }

    /// Waits until everything is written that was left here so far, but not for ever.
    pub(super) fn flush(&self) {
        let Shared { has_lines, is_written, .. } = &*self.0;
        let mut queue = self.0.queue();
        queue.is_awaited = true;
        has_lines.notify_one();
        let is_left = |queue: &mut Queue| queue.is_writing || !queue.lines.is_empty();
        drop(is_written.wait_timeout_while(queue, LONGEST_FLUSH, is_left));
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leave(&self, line: &[u8], most_bytes: usize) {
        let mut queue = self.queue();
        if queue.lines.len() + line.len() > most_bytes {
            queue.lost += 1;
            return;
        }
        let wakes = std::mem::take(&mut queue.is_idle);
        queue.lines.extend_from_slice(line);
        drop(queue);
        if wakes {
            self.has_lines.notify_one();
        }
    }

    fn write(&self, mut output: impl Write) -> ! {
        let mut lines = Vec::new();
        let mut writes: u32 = 0;
        let mut last_write = Instant::now();
        loop {
            let queue = self.has_lines.wait_while(self.queue(), |queue| {
                queue.is_idle = queue.lines.is_empty();
                queue.is_idle
            });
            let mut queue = queue.unwrap_or_else(PoisonError::into_inner);
            std::mem::swap(&mut lines, &mut queue.lines);
            let lost = std::mem::take(&mut queue.lost);
            queue.is_writing = true;
            drop(queue);

            writes = if last_write.elapsed() < 2 * PAUSE { writes.saturating_add(1) } else { 0 };
            write_all(&mut output, &lines);
            last_write = Instant::now();
            lines.clear();
            lines.shrink_to(KEPT_BYTES);
            if lost > 0 {
                tracing::warn!(lost, "lines of the log are lost: whoever reads it is too slow");
            }

            let mut queue = self.queue();
            queue.is_writing = false;
            if queue.is_awaited {
                self.is_written.notify_all();
            }
            if writes >= WRITES_WITHOUT_PAUSE {
                drop(self.has_lines.wait_timeout_while(queue, PAUSE, |queue| !queue.is_awaited));
            }
        }
    }
}

/// Writes lines, also to an output that takes a part of them at a time.
fn write_all(output: &mut impl Write, mut lines: &[u8]) {
    while !lines.is_empty() {
        match output.write(lines) {
            Ok(written) if written > 0 => lines = &lines[written..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::park_timeout(PAUSE),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Nobody is left to tell.
            Ok(_) | Err(_) => return,
        }
    }
    let _ = output.flush();
}

impl<'a> MakeWriter<'a> for Writer {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { shared: &self.0, most_bytes: MOST_BYTES }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Line<'a> {
        let is_of_weight = metadata.target() == AUDIT || *metadata.level() == Level::ERROR;
        Line { shared: &self.0, most_bytes: if is_of_weight { MOST_BYTES_OF_WEIGHT } else { MOST_BYTES } }
    }
}

/// Leaves one line, which comes in one piece.
#[derive(Debug)]
pub(super) struct Line<'a> {
    shared: &'a Shared,
    most_bytes: usize,
}

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.shared.leave(line, self.most_bytes);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// An output that tells what is written to it, and is done when its reader goes on.
    struct Slow {
        written: Sender<Vec<u8>>,
        goes_on: Receiver<()>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.written.send(bytes.to_vec());
            let _ = self.goes_on.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is written, until the reader goes on: from then on it never stops.
    fn slow() -> (Writer, Receiver<Vec<u8>>, Sender<()>) {
        let (written, read) = channel();
        let (stops, goes_on) = channel();
        (Writer::start(Slow { written, goes_on }).unwrap(), read, stops)
    }

    #[test]
    fn lines_are_written_together_and_a_flush_waits_for_all_of_them() {
        let (writer, read, stops) = slow();
        writer.0.leave(b"one\n", MOST_BYTES);
        assert_eq!(read.recv().unwrap(), b"one\n");
        writer.0.leave(b"two\n", MOST_BYTES);
        writer.0.leave(b"three\n", MOST_BYTES);
        drop(stops);
        writer.flush();
        assert_eq!(read.try_iter().collect::<Vec<_>>(), [b"two\nthree\n"]);
    }

    #[test]
    fn a_busy_service_loses_no_line_and_waits_for_no_pause_at_its_end() {
        let (writer, read, stops) = slow();
        drop(stops);
        let lines: Vec<_> = (0..3 * WRITES_WITHOUT_PAUSE).map(|number| format!("{number}\n")).collect();
        let mut written = Vec::new();
        for line in &lines {
            writer.0.leave(line.as_bytes(), MOST_BYTES);
            // Each is a write of its own.
            written.extend(read.recv().unwrap());
        }
        assert_eq!(written, lines.concat().as_bytes());
        writer.0.leave(b"left in a pause\n", MOST_BYTES);
        writer.flush();
        assert_eq!(read.try_iter().collect::<Vec<_>>().concat(), b"left in a pause\n");
    }

    #[test]
    fn a_reader_that_stops_costs_lines_but_none_of_the_audit_trail() {
        let (writer, read, stops) = slow();
        writer.0.leave(b"first\n", MOST_BYTES);
        assert_eq!(read.recv().unwrap(), b"first\n");
        writer.0.leave(&[b'x'; MOST_BYTES], MOST_BYTES);
        writer.0.leave(b"lost\n", MOST_BYTES);
        writer.0.leave(b"audit\n", MOST_BYTES_OF_WEIGHT);
        assert_eq!(writer.0.queue().lost, 1);
        drop(stops);
        writer.flush();
        let written: Vec<_> = read.try_iter().flatten().collect();
        assert_eq!(written.len(), MOST_BYTES + 6);
        assert!(written.ends_with(b"xaudit\n"));
    }
}
