//! Every detector with its names and what it does unless a policy says otherwise, one row each.

use std::fmt;

use crate::Strategy;

/// Which detectors a policy begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pack {
    /// On: structure or check digits decide.
    Default,
    /// Off until a policy turns it on.
    Optional,
}

macro_rules! detectors {
    ($($(#[$doc:meta])+ $detector:ident = $name:literal, $replacement:literal, $strategy:ident, $pack:ident;)+) => {
        /// A kind of personal data that is looked for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum Detector {
            $($(#[$doc])+ $detector,)+
        }

        impl Detector {
            /// All of them.
            pub const ALL: [Self; [$(Self::$detector),+].len()] = [$(Self::$detector),+];

            /// The name in `pii`, in spans and in hashed values.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$detector => $name,)+
                }
            }

            /// What REDACT writes unless the policy says otherwise.
            pub const fn replacement(self) -> &'static str {
                match self {
                    $(Self::$detector => $replacement,)+
                }
            }

            /// What is done with its findings unless the policy says otherwise.
            pub const fn default_strategy(self) -> Strategy {
                match self {
                    $(Self::$detector => Strategy::$strategy,)+
                }
            }

            /// Whether it is on unless the policy says otherwise.
            pub const fn pack(self) -> Pack {
                match self {
                    $(Self::$detector => Pack::$pack,)+
                }
            }
        }
    };
}

detectors! {
    /// E-mail addresses.
    Email = "email", "[EMAIL]", PartialMask, Default;
    /// Social security numbers of the United States.
    Ssn = "ssn", "[SSN]", Redact, Default;
    /// Phone numbers: international, and of North America; national ones after a word like `phone`.
    Phone = "phone", "[PHONE]", PartialMask, Default;
    /// Payment card numbers.
    CreditCard = "credit_card", "[CREDIT_CARD]", PartialMask, Default;
    /// IPv4 addresses.
    Ipv4 = "ipv4", "[IPV4]", PartialMask, Default;
    /// IPv6 addresses.
    Ipv6 = "ipv6", "[IPV6]", PartialMask, Default;
    /// Hardware addresses of six bytes.
    Mac = "mac", "[MAC]", PartialMask, Default;
    /// User name and password in a URL.
    UrlCredentials = "url_credentials", "[URL_CREDENTIALS]", Redact, Default;
    /// International bank account numbers.
    Iban = "iban", "[IBAN]", PartialMask, Default;
    /// Individual taxpayer identification numbers of the United States.
    Itin = "us_itin", "[US_ITIN]", Redact, Default;
    /// Tokens with an issuer's prefix.
    Secret = "secret", "[SECRET]", Redact, Default;
    /// JSON Web Tokens.
    Jwt = "jwt", "[JWT]", Redact, Default;
    /// Private keys in PEM form.
    PrivateKey = "private_key", "[PRIVATE_KEY]", Redact, Default;
    /// Credentials and cookies of HTTP headers.
    AuthHeader = "auth_header", "[AUTH_HEADER]", Redact, Default;
    /// Values of names like `password` and `api_key`.
    KvSecret = "kv_secret", "[KV_SECRET]", Redact, Default;
}

impl Detector {
    /// The detector with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|detector| detector.name() == name)
    }
}

impl fmt::Display for Detector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
