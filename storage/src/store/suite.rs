//! The conformance suite of [`Store`](super::Store): ordinary functions that every implementation
//! must pass.
//!
//! Never opens a store itself.
