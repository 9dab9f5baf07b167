//! The check that stands for a creation: it needs what the scripts of the steps need, and writes.

use std::time::Duration;

use redis::{Script, aio::MultiplexedConnection};

use super::failure::Failure;

/// Longer than a check takes, and soon over.
const EXPIRY: Duration = Duration::from_secs(60);

/// The script, and the key that it writes. All replicas use the same key, which exists within the script
/// alone, so that they do not collide.
pub(super) struct WriteCheck {
    script: Script,
    key: String,
}

impl WriteCheck {
    pub(super) fn new(key: String) -> Self {
        Self { script: Script::new(include_str!("check.lua")), key }
    }

    /// Loads the script, which is a permission of its own, and runs it.
    pub(super) async fn run(&self, connection: &mut MultiplexedConnection) -> Result<(), Failure> {
        let mut script = self.script.key(&self.key);
        script.arg(u64::try_from(EXPIRY.as_millis()).unwrap_or(u64::MAX));
        script.load_async(connection).await?;
        let reply: Vec<String> = script.invoke_async(connection).await?;
        let words: Vec<&str> = reply.iter().map(String::as_str).collect();
        match words[..] {
            ["failed", reply, ref commands @ ..] => Err(Failure::within_a_script(reply, commands)),
            _ => Ok(()),
        }
    }
}
