//! Facts that tell a number of one kind from any other number of its shape.

pub(crate) mod calendar;
pub(crate) mod card;
pub(crate) mod country;
pub(crate) mod iban;
pub(crate) mod iso7064;
pub(crate) mod luhn;
pub(crate) mod nanp;
pub(crate) mod national;
pub(crate) mod verhoeff;
pub(crate) mod weighted;
