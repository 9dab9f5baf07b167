//! Asks for credentials without showing them.
//!
//! The terminal is silent from before the first question until after the last reply. rpassword silences it only after
//! each question, so that the terminal would show what is pasted as one block.

use std::io::{self, BufRead as _, IsTerminal as _, Stdin, Write as _};

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};

use super::NAMES;
use crate::{cli::client::Problem, proto::HubSpotCredentials};

/// What Ctrl-C sends.
const INTERRUPT: u8 = 3;

/// Asks for the credentials on the terminal.
pub(in crate::cli::client) fn from_prompt() -> Result<HubSpotCredentials, Problem> {
    if !io::stdin().is_terminal() {
        return Err(Problem::Usage(
            "the HubSpot credentials are missing: name a file with --credentials-file, as there is no terminal to \
             ask for them"
                .to_owned(),
        ));
    }
    let silent = SilentTerminal::start()?;
    writeln!(io::stderr(), "HubSpot credentials, which are not shown:")?;
    let mut values = [const { String::new() }; NAMES.len()];
    for (name, value) in NAMES.iter().zip(&mut values) {
        *value = silent.ask(name)?;
    }
    let [client_id, client_secret, access_token, refresh_token] = values;
    Ok(HubSpotCredentials { client_id, client_secret, access_token, refresh_token })
}

/// The terminal shows no input until this is dropped.
struct SilentTerminal {
    terminal: Stdin,
    before: Termios,
}

impl SilentTerminal {
    fn start() -> io::Result<Self> {
        let terminal = io::stdin();
        let before = tcgetattr(&terminal)?;
        let mut silent = before.clone();
        // Ctrl-C ends the line and not the process, which would leave the terminal silent.
        silent.local_modes -= LocalModes::ECHO | LocalModes::ISIG;
        silent.special_codes[SpecialCodeIndex::VEOL] = INTERRUPT;
        tcsetattr(&terminal, OptionalActions::Now, &silent)?;
        Ok(Self { terminal, before })
    }

    fn ask(&self, name: &str) -> Result<String, Problem> {
        write!(io::stderr(), "{name}: ")?;
        io::stderr().flush()?;
        let line = self.line()?;
        writeln!(io::stderr())?;
        let line = line.ok_or(Problem::Declined("nothing was sent"))?;
        let line = String::from_utf8(line).map_err(|_| format!("{name} is not text: nothing was sent"))?;
        let reply = line.trim();
        if reply.is_empty() {
            return Err(Problem::Usage(format!("{name} is empty: nothing was sent")));
        }
        // Such as an arrow key, or what some terminals add to pasted text.
        if reply.contains(char::is_control) {
            return Err(Problem::Usage(format!(
                "{name} has a control character: nothing was sent. Type it again, or name a file with \
                 --credentials-file"
            )));
        }
        Ok(reply.to_owned())
    }

    /// `None` after Ctrl-C.
    fn line(&self) -> io::Result<Option<Vec<u8>>> {
        let mut input = self.terminal.lock();
        let mut line = Vec::new();
        loop {
            let available = input.fill_buf()?;
            let end = available.iter().position(|byte| matches!(*byte, b'\n' | INTERRUPT));
            let length = end.unwrap_or(available.len());
            line.extend_from_slice(&available[..length]);
            let last = available.get(length).copied();
            let is_over = available.is_empty();
            input.consume(length + usize::from(last.is_some()));
            match last {
                Some(INTERRUPT) => return Ok(None),
                None if !is_over => {}
                Some(_) | None => return Ok(Some(line)),
            }
        }
    }
}

impl Drop for SilentTerminal {
    fn drop(&mut self) {
        // The rest of what was pasted must not reach the shell, which would show it and keep it in its history.
        let _ = tcsetattr(&self.terminal, OptionalActions::Flush, &self.before);
    }
}
