//! The signature of an exception: the same for the same fault, whatever its ids, lines and addresses.
//!
//! A hash over the type and the nearest frames of the application; without any, over all frames;
//! without frames, over the type and the parameterised message. The service is not part of it.
//! Compute it on masked text: parts of it are kept to say why two exceptions are one.

use std::fmt;

use hushlog_record::Exception;
use hushlog_record::id::stable_hash;

use super::frames::{Frame, frames};
use super::normalise::qualified;
use super::parameterise::parameterise;
use crate::limits::SIGNATURE_FRAMES_MAX;

/// What exceptions are told apart by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// 64-bit hash of basis and parts ([`stable_hash`]), the same on every node and in every release.
    pub hash: u64,
    /// What the parts are.
    pub basis: Basis,
    /// The type first, then the frames as `module.function`, or the parameterised message.
    pub parts: Vec<String>,
}

/// What a signature is made of besides the type. The numbers are part of the hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Basis {
    /// Frames of the application.
    App = 1,
    /// Frames of libraries and the runtime, where no others are.
    System = 2,
    /// The message, where no frames are.
    Message = 3,
}

/// Lower-case hex, as `exception_id` is written.
impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.hash)
    }
}

/// The signature of an exception.
pub fn signature(exception: &Exception) -> Signature {
    let all = frames(&exception.stack_trace);
    let app: Vec<&Frame> = all.iter().filter(|frame| frame.in_app).collect();
    let (basis, chosen) = match (app.is_empty(), all.is_empty()) {
        (false, _) => (Basis::App, app),
        (true, false) => (Basis::System, all.iter().collect()),
        (true, true) => (Basis::Message, Vec::new()),
    };
    let mut parts = vec![qualified(&exception.type_name)];
    if basis == Basis::Message {
        parts.push(parameterise(&exception.message));
    }
    parts.extend(
        chosen
            .into_iter()
            .take(SIGNATURE_FRAMES_MAX)
            .map(|frame| format!("{}.{}", frame.module, frame.function)),
    );
    let code = [basis as u8];
    let mut hashed: Vec<&[u8]> = vec![&code];
    for part in &parts {
        // No part holds a zero byte that could be taken for the end of another.
        hashed.extend([part.as_bytes(), &[0]]);
    }
    Signature {
        hash: stable_hash(&hashed),
        basis,
        parts,
    }
}
