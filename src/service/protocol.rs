//! What passes through the socket: frames of JSON, each with its length before it. `docs/protocol.md` says the same for
//! whoever writes another client.

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::update::Update;
use crate::{
    as_of::ask::{Ask, Question, SaveForm},
    engine::{Command, Event, Host, Query, QueryId, query::Answered},
    error::ErrorReport,
};

/// The version of the protocol. Both sides must speak the same: a service and its windows are one program.
pub const PROTOCOL: u32 = 2;
/// A longer frame from a client is refused: the longest command holds the records that are to be taken back.
pub const FROM_CLIENT_MAX: usize = 64 << 20;
/// The first one says no more than who it is from.
pub const HELLO_BYTES_MAX: usize = 1 << 20;
/// A longer frame from an engine is refused: a whole status of thousands of data files.
pub const FROM_ENGINE_MAX: usize = 64 << 20;

/// The first frame of both sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The protocol it speaks.
    pub protocol: u32,
    /// Name and version of the program.
    pub program: String,
    /// Of an engine: questions that it knows beside those that every engine of this protocol knows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub knows: Vec<String>,
}

/// What engines of this program know beside what every engine of the protocol does.
pub const KNOWS: [&str; 7] = [ACTIVITY, TAKE_BACK, TIMELINE, STATE, RECOVER, TABLES, XLSX];
/// What was changed, as records.
const ACTIVITY: &str = "activity";
/// What would be done to take single changes back.
const TAKE_BACK: &str = "take-back";
/// What stands where in time.
const TIMELINE: &str = "timeline";
/// What a data file held.
const STATE: &str = "state";
/// What a recovery would begin with.
const RECOVER: &str = "recover";
/// How large the tables of a data file are.
const TABLES: &str = "tables";

/// What a data file held, as a workbook.
const XLSX: &str = "xlsx";

/// Whether an engine that said what it `knows` can be asked this.
pub(super) fn is_known(query: &Query, knows: &[String]) -> bool {
    let needed = match query {
        Query::Activity { .. } => ACTIVITY,
        Query::TakeBack { .. } => TAKE_BACK,
        Query::Timeline { .. } => TIMELINE,
        Query::State { question: Question { ask: Ask::Save { form: SaveForm::Xlsx, .. }, .. }, .. } => XLSX,
        Query::State { .. } => STATE,
        Query::Recover { .. } => RECOVER,
        Query::Tables { .. } => TABLES,
        _ => return true,
    };
    knows.iter().any(|known| known == needed)
}

/// What a client sends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FromClient {
    /// First of all.
    Hello(Hello),
    /// A command for the engine.
    Command(Command),
    /// A question, which is answered to this client alone.
    Query {
        /// Names the answer.
        id: QueryId,
        /// What is asked.
        query: Query,
    },
    /// The last frame: nothing more comes.
    Bye,
}

/// What an engine sends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FromEngine {
    /// The answer to the client's hello.
    Hello {
        /// What the engine speaks.
        hello: Hello,
        /// The process that it runs in.
        host: Host,
    },
    /// Why the client is sent away; the last frame.
    Refused(ErrorReport),
    /// What changed, and what happened meanwhile. The first one after the hello holds the whole status.
    News {
        /// What changed in the status.
        update: Box<Update>,
        /// What happened, in order; some may be missing when the client was slow.
        events: Vec<Event>,
    },
    /// The answer to a question of this client. What changed in the status before it was sent before it.
    Answer {
        /// The question.
        id: QueryId,
        /// The answer, or why there is none.
        answer: Answered,
    },
    /// The engine ends; the last frame.
    Bye,
}

/// Why a frame cannot be read.
#[derive(Debug)]
pub enum Broken {
    /// The other side closed the connection, between two frames.
    Closed,
    /// It closed it within a frame, or the system failed.
    Io(io::Error),
    /// It announced more bytes than are allowed.
    TooLong(u32),
    /// The bytes are not what the protocol knows.
    Malformed(serde_json::Error),
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Broken::Closed => write!(f, "the connection was closed"),
            Broken::Io(e) => write!(f, "{e}"),
            Broken::TooLong(length) => write!(f, "a frame of {length} bytes is longer than allowed"),
            Broken::Malformed(e) => write!(f, "a frame cannot be understood: {e}"),
        }
    }
}

/// Writes one frame.
///
/// # Errors
/// Those of the connection.
pub fn write(to: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    // Length and content in one call, so that no half of it waits for the other.
    let mut frame = vec![0; 4];
    serde_json::to_writer(&mut frame, message)?;
    let length = u32::try_from(frame.len() - 4).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    frame[..4].copy_from_slice(&length.to_le_bytes());
    to.write_all(&frame)?;
    to.flush()
}

/// Reads one frame of at most `limit` bytes.
///
/// # Errors
/// See [`Broken`]. Memory is taken only as bytes arrive, whatever length was announced.
pub fn read<T: DeserializeOwned>(from: &mut impl Read, limit: usize) -> Result<T, Broken> {
    let mut length = [0; 4];
    match from.read(&mut length[..1]) {
        Ok(0) => return Err(Broken::Closed),
        Ok(_) => {}
        Err(e) => return Err(Broken::Io(e)),
    }
    from.read_exact(&mut length[1..]).map_err(Broken::Io)?;
    let length = u32::from_le_bytes(length);
    if length as usize > limit {
        return Err(Broken::TooLong(length));
    }
    let mut frame = Vec::new();
    from.take(u64::from(length)).read_to_end(&mut frame).map_err(Broken::Io)?;
    if frame.len() < length as usize {
        return Err(Broken::Io(io::ErrorKind::UnexpectedEof.into()));
    }
    serde_json::from_slice(&frame).map_err(Broken::Malformed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(message: &FromClient) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        write(&mut bytes, message)?;
        Ok(bytes)
    }

    #[test]
    fn frames_follow_one_another_and_a_cut_one_is_told_from_the_end() -> Result<(), Box<dyn std::error::Error>> {
        let command = FromClient::Command(Command::Refresh { data_file: "/a".into() });
        let bytes = [frame(&command)?, frame(&FromClient::Bye)?].concat();
        let mut from = bytes.as_slice();
        assert_eq!(read::<FromClient>(&mut from, 1000).map_err(|e| e.to_string())?, command);
        assert_eq!(read::<FromClient>(&mut from, 1000).map_err(|e| e.to_string())?, FromClient::Bye);
        assert!(matches!(read::<FromClient>(&mut from, 1000), Err(Broken::Closed)));
        for cut in 1..frame(&command)?.len() {
            assert!(matches!(read::<FromClient>(&mut &bytes[..cut], 1000), Err(Broken::Io(_))), "{cut}");
        }
        assert!(matches!(read::<FromClient>(&mut bytes.as_slice(), 10), Err(Broken::TooLong(_))));
        Ok(())
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read::<FromClient>(&mut bytes.as_slice(), FROM_CLIENT_MAX);
            let mut framed = (bytes.len() as u32).to_le_bytes().to_vec();
            framed.extend(&bytes);
            let _ = read::<FromEngine>(&mut framed.as_slice(), FROM_ENGINE_MAX);
        }
    }
}
