//! Running other programs: their output as it comes, a time limit, and how they ended.

use core::time::Duration;
use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result};

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// By itself, with an exit code.
    Exit(i32),
    /// By a signal, or in a way that has no exit code.
    Killed,
    /// The time limit ended the program.
    TimedOut,
}

impl Ending {
    pub(crate) fn success(self) -> bool {
        self == Self::Exit(0)
    }
}

impl From<ExitStatus> for Ending {
    fn from(status: ExitStatus) -> Self {
        status.code().map_or(Self::Killed, Self::Exit)
    }
}

/// A program that has ended.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) ending: Ending,
    /// Every line it printed, on either stream, in about the order they came.
    pub(crate) lines: Vec<String>,
}

/// Runs a program to its end, or until the limit has passed; `on_line` sees its output as it comes.
///
/// # Errors
/// If the program cannot be started or waited for. How it ended is no error here.
pub(crate) fn run(
    command: &mut Command,
    limit: Option<Duration>,
    mut on_line: impl FnMut(&str),
) -> Result<Finished> {
    let start = Instant::now();
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start {}", describe(command)))?;

    let (sender, receiver) = mpsc::channel();
    let streams: [Option<Box<dyn Read + Send>>; 2] = [
        child
            .stdout
            .take()
            .map(|stream| -> Box<dyn Read + Send> { Box::new(stream) }),
        child
            .stderr
            .take()
            .map(|stream| -> Box<dyn Read + Send> { Box::new(stream) }),
    ];
    for stream in streams.into_iter().flatten() {
        let sender = sender.clone();
        thread::spawn(move || send_lines(stream, &sender));
    }
    drop(sender);

    let mut lines = Vec::new();
    let mut timed_out = false;
    loop {
        let left = limit
            .filter(|_| !timed_out)
            .map(|limit| limit.saturating_sub(start.elapsed()));
        match receiver.recv_timeout(left.unwrap_or(Duration::MAX)) {
            Ok(line) => {
                on_line(&line);
                lines.push(line);
            }
            // Both streams are closed.
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                timed_out = true;
                child
                    .kill()
                    .with_context(|| format!("cannot end {}", describe(command)))?;
            }
        }
    }
    let ending = wait(&mut child, limit.filter(|_| !timed_out), start)?;
    let ending = if timed_out { Ending::TimedOut } else { ending };
    Ok(Finished { ending, lines })
}

/// Waits for a program whose output has ended; it may have closed its output and gone on.
fn wait(child: &mut Child, limit: Option<Duration>, start: Instant) -> Result<Ending> {
    let Some(limit) = limit else {
        return Ok(child.wait()?.into());
    };
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.into());
        }
        if start.elapsed() >= limit {
            child.kill()?;
            child.wait()?;
            return Ok(Ending::TimedOut);
        }
        thread::sleep(Duration::from_millis(5));
    }
}

fn send_lines(stream: impl Read, sender: &mpsc::Sender<String>) {
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    // A stream that cannot be read any more has ended.
    while reader
        .read_until(b'\n', &mut line)
        .is_ok_and(|bytes| bytes > 0)
    {
        let text = String::from_utf8_lossy(&line);
        if sender
            .send(text.trim_end_matches(['\n', '\r']).to_owned())
            .is_err()
        {
            return;
        }
        line.clear();
    }
}

/// Runs a program and returns its standard output, or `None` if the program is not there or failed.
pub(crate) fn output_of(command: &mut Command) -> Option<String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// A command as one would type it.
pub(crate) fn describe(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy()];
    words.extend(
        command
            .get_args()
            .map(|argument| argument.to_string_lossy()),
    );
    words.join(" ")
}

/// A line that says how far a program is, replaced by the next one.
///
/// On a terminal it is redrawn with the program's output; elsewhere a line is added now and then.
/// Several threads may report: on a terminal the line shows the latest report of any of them.
#[derive(Debug)]
pub(crate) struct Progress {
    name: String,
    start: Instant,
    last_drawn: Instant,
    terminal: bool,
}

impl Progress {
    const REDRAW: Duration = Duration::from_millis(100);
    const HEARTBEAT: Duration = Duration::from_secs(20);
    /// Columns of a terminal that can be relied on.
    const COLUMNS: usize = 79;

    /// Starts to report on `name`.
    pub(crate) fn start(name: impl Into<String>) -> Self {
        let now = Instant::now();
        let terminal = std::io::stdout().is_terminal();
        let progress = Self {
            name: name.into(),
            start: now,
            last_drawn: now,
            terminal,
        };
        if terminal {
            progress.draw("");
        }
        progress
    }

    /// Shows the latest news.
    pub(crate) fn update(&mut self, news: &str) {
        let interval = if self.terminal {
            Self::REDRAW
        } else {
            Self::HEARTBEAT
        };
        if self.last_drawn.elapsed() < interval {
            return;
        }
        self.last_drawn = Instant::now();
        if self.terminal {
            self.draw(news);
        } else {
            let seconds = self.start.elapsed().as_secs();
            println!("  {} has run for {seconds} s: {}", self.name, news.trim());
        }
    }

    /// Replaces the line with the outcome.
    pub(crate) fn finish(self, outcome: &str) {
        self.finish_with(outcome, &[]);
    }

    /// Replaces the line with the outcome and lines that explain it, in one piece: other threads
    /// may report as well.
    pub(crate) fn finish_with(self, outcome: &str, lines: &[String]) {
        let clear = if self.terminal { "\r\x1b[K" } else { "" };
        let seconds = self.start.elapsed().as_secs_f64();
        let mut text = format!("{clear}  {}: {outcome} ({seconds:.1} s)\n", self.name);
        for line in lines {
            text.extend(["  | ", line, "\n"]);
        }
        print!("{text}");
    }

    fn draw(&self, news: &str) {
        let line = format!("  {} … {}", self.name, news.trim());
        let line: String = line.chars().take(Self::COLUMNS).collect();
        print!("\r\x1b[K{line}");
        // A terminal that cannot be written to shows no progress, which is all there is to lose.
        let _ = std::io::stdout().flush();
    }
}
