//! Where randomness comes from: one root, split into named streams.
//!
//! A stream depends on the root and its name alone, so adding a consumer does not move what another
//! one draws, and a simulation repeats itself from one number.

use rand::SeedableRng;
#[expect(
    clippy::disallowed_types,
    reason = "this is where all randomness comes from"
)]
use rand::rngs::SysRng;
use rand_chacha::ChaCha12Rng;

/// A random stream handed to one consumer.
pub type Stream = ChaCha12Rng;

/// The root of all randomness of a node.
#[derive(Clone)]
pub struct Entropy {
    root: [u8; 32],
}

/// The operating system gave no randomness.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gave no randomness: {0}")]
pub struct Unavailable(String);

impl Entropy {
    /// From the operating system.
    pub fn system() -> Result<Self, Unavailable> {
        let mut root = [0u8; 32];
        rand::TryRng::try_fill_bytes(&mut SysRng, &mut root)
            .map_err(|error| Unavailable(error.to_string()))?;
        Ok(Self { root })
    }

    /// The same streams for the same seed, on every machine.
    pub fn seeded(seed: u64) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("hushlog entropy root");
        hasher.update(&seed.to_be_bytes());
        Self {
            root: hasher.finalize().into(),
        }
    }

    /// The stream of this name.
    pub fn stream(&self, name: &str) -> Stream {
        let seed = blake3::keyed_hash(&self.root, name.as_bytes());
        ChaCha12Rng::from_seed(seed.into())
    }
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::*;

    #[test]
    fn streams_repeat_by_seed_and_differ_by_name() {
        let draw = |seed, name| Entropy::seeded(seed).stream(name).next_u64();
        assert_eq!(draw(1, "ids"), draw(1, "ids"));
        assert_ne!(draw(1, "ids"), draw(1, "jitter"));
        assert_ne!(draw(1, "ids"), draw(2, "ids"));
    }

    #[test]
    fn the_system_gives_a_new_root_each_time() {
        let draw = || {
            Entropy::system()
                .expect("randomness")
                .stream("ids")
                .next_u64()
        };
        assert_ne!(draw(), draw());
    }
}
