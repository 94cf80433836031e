//! Numbers that states give to people, firms and things: what makes one possible.
//!
//! Each takes what was found as upper-case letters and digits, without the marks between them, and says
//! whether it could have been given out: by check digits where there are any, by dates and parts that
//! exist. None looks anything up.

pub(crate) mod americas;
pub(crate) mod asia;
pub(crate) mod british;
pub(crate) mod eastern;
pub(crate) mod nordic;
pub(crate) mod us;
pub(crate) mod western;

#[cfg(test)]
mod tests;

use super::weighted::digits_of;
