//! Pictures and other files that Orbit has of an inspection.
//!
//! ```text
//! url   where one lies: what a `dataUrl` means
//! kind  what one is: its media type
//! ```
//!
//! # Invariants
//! - The token goes to the configured host only, whatever a `dataUrl` says; no redirect is followed.
//! - No more is read than was asked for, and no more memory is held than that in the form that was
//!   asked for: base64 is made while the file comes in.
//! - The whole exchange has one deadline.

mod kind;
mod url;

use std::io::{self, Write};
use std::time::Duration;

use base64::engine::general_purpose::{GeneralPurpose, STANDARD};
use base64::write::EncoderWriter;
use reqwest::Response;
use reqwest::header::CONTENT_TYPE;

pub use self::kind::picture;
pub use self::url::{LONGEST_BYTES, MediaUrl, MediaUrlError};
use super::client::{CallError, Client};

/// How long a file may take.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// Memory grows by no less.
const STEP_BYTES: usize = 64 << 10;

/// How a file is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As it is.
    Raw,
    /// As base64, with padding: text for a JSON body.
    Base64,
}

/// What of a file is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// The most bytes that the file may have.
    pub limit: u64,
    /// How it is held.
    pub form: Form,
    /// How long it may take.
    pub within: Duration,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    /// The file, in the form that was asked for.
    pub bytes: Vec<u8>,
    /// How many bytes the file has.
    pub size: u64,
    /// What it is.
    pub media_type: String,
}

/// Why a file is not there.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum MediaError {
    /// It has more bytes than may be.
    #[error("the file is larger than may be{}", said(*.bytes))]
    TooLarge {
        /// How many it has, where Orbit said so.
        bytes: Option<u64>,
    },
    /// There was no such answer.
    #[error(transparent)]
    Call(#[from] CallError),
}

fn said(bytes: Option<u64>) -> String {
    bytes.map_or_else(String::new, |bytes| format!(": it has {bytes} bytes"))
}

impl Form {
    /// How many bytes a file of `bytes` takes.
    pub fn length(self, bytes: u64) -> u64 {
        match self {
            Self::Raw => bytes,
            Self::Base64 => bytes.div_ceil(3).saturating_mul(4),
        }
    }
}

impl Client {
    /// Fetches a file.
    pub async fn media(&self, from: &MediaUrl, wanted: &Wanted) -> Result<Media, MediaError> {
        let mut answer = self.get(from.url().clone(), wanted.within).await?;
        let declared = answer.content_length();
        if declared.is_some_and(|bytes| bytes > wanted.limit) {
            return Err(MediaError::TooLarge { bytes: declared });
        }
        let content_type = content_type(&answer);
        // Who has to log in first, or is not let out of a network, is shown a page.
        let page = content_type.as_deref().and_then(kind::plain);
        if page.as_deref() == Some("text/html") && !from.name().contains(".htm") {
            return Err(CallError::Nonsense.into());
        }
        let mut store = Store::new(wanted, declared);
        loop {
            let chunk = answer.chunk().await;
            let chunk = chunk.map_err(|error| self.explain(error, wanted.within))?;
            let Some(chunk) = chunk else { break };
            store.add(&chunk, wanted.limit)?;
        }
        let media_type = kind::media_type(&store.head, content_type.as_deref(), from.name());
        Ok(Media {
            media_type,
            size: store.size,
            bytes: store.sink.finish()?,
        })
    }
}

fn content_type(answer: &Response) -> Option<String> {
    let header = answer.headers().get(CONTENT_TYPE)?;
    Some(header.to_str().ok()?.to_owned())
}

/// What has come in so far.
struct Store {
    sink: Sink,
    head: Vec<u8>,
    size: u64,
}

enum Sink {
    Raw(Room),
    Base64(Box<EncoderWriter<'static, GeneralPurpose, Room>>),
}

/// Memory that never takes more than its bound, not even to grow fast.
struct Room {
    bytes: Vec<u8>,
    most: usize,
}

impl Store {
    fn new(wanted: &Wanted, declared: Option<u64>) -> Self {
        let fitting = |bytes| usize::try_from(wanted.form.length(bytes)).unwrap_or(usize::MAX);
        let room = Room {
            bytes: Vec::with_capacity(declared.map_or(0, fitting)),
            most: fitting(wanted.limit),
        };
        Self {
            sink: match wanted.form {
                Form::Raw => Sink::Raw(room),
                Form::Base64 => Sink::Base64(Box::new(EncoderWriter::new(room, &STANDARD))),
            },
            head: Vec::new(),
            size: 0,
        }
    }

    fn add(&mut self, chunk: &[u8], limit: u64) -> Result<(), MediaError> {
        let length = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
        self.size = self.size.saturating_add(length);
        if self.size > limit {
            return Err(MediaError::TooLarge { bytes: None });
        }
        let missing = kind::HEAD_BYTES.saturating_sub(self.head.len());
        self.head.extend(chunk.iter().take(missing));
        let written = match &mut self.sink {
            Sink::Raw(room) => room.write_all(chunk),
            Sink::Base64(encoder) => encoder.write_all(chunk),
        };
        written.map_err(|_| MediaError::TooLarge { bytes: None })
    }
}

impl Sink {
    fn finish(self) -> Result<Vec<u8>, MediaError> {
        match self {
            Self::Raw(room) => Ok(room.bytes),
            Self::Base64(mut encoder) => match encoder.finish() {
                Ok(room) => Ok(room.bytes),
                Err(_) => Err(MediaError::TooLarge { bytes: None }),
            },
        }
    }
}

impl Write for Room {
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        let left = self.most.saturating_sub(self.bytes.len());
        if more.len() > left {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if self.bytes.capacity() - self.bytes.len() < more.len() {
            let step = self.bytes.len().max(STEP_BYTES).max(more.len());
            self.bytes.reserve_exact(step.min(left));
        }
        self.bytes.extend_from_slice(more);
        Ok(more.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;

    use super::*;

    fn stored(file: &[u8], chunk: usize, form: Form, declared: bool) -> Vec<u8> {
        let limit = u64::try_from(file.len()).unwrap();
        let wanted = Wanted {
            limit,
            form,
            within: TIMEOUT,
        };
        let mut store = Store::new(&wanted, declared.then_some(limit));
        for chunk in file.chunks(chunk) {
            store.add(chunk, limit).unwrap();
        }
        assert_eq!(store.size, limit);
        store.sink.finish().unwrap()
    }

    #[test]
    fn base64_made_in_pieces_is_base64_of_the_whole_and_takes_no_more_memory_than_that() {
        for length in [0, 1, 2, 3, 4, 1_000, 200_000, 200_001] {
            let file: Vec<u8> = (0..=u8::MAX).cycle().take(length).collect();
            for chunk in [1, 2, 3, 7, 1_024, 65_536] {
                for declared in [true, false] {
                    let raw = stored(&file, chunk, Form::Raw, declared);
                    assert_eq!(raw, file);
                    assert!(raw.capacity() <= file.len(), "{}", raw.capacity());
                    let text = stored(&file, chunk, Form::Base64, declared);
                    assert_eq!(text, STANDARD.encode(&file).into_bytes());
                    let most = length.div_ceil(3) * 4;
                    assert!(text.capacity() <= most, "{}", text.capacity());
                }
            }
        }
    }

    #[test]
    fn one_byte_more_than_the_limit_is_too_many() {
        for form in [Form::Raw, Form::Base64] {
            let wanted = Wanted {
                limit: 4,
                form,
                within: TIMEOUT,
            };
            let mut store = Store::new(&wanted, None);
            assert_eq!(store.add(b"1234", 4), Ok(()));
            let refused = store.add(b"5", 4);
            assert_eq!(refused, Err(MediaError::TooLarge { bytes: None }));
        }
    }
}
