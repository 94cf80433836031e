//! Masking policies that change while requests are on their way.

use super::*;

/// A policy with this pattern, as the cluster keeps it.
fn policy(epoch: u64, pattern: &str) -> Vec<u8> {
    let patterns = vec![Pattern::new("badge", pattern)];
    let mut policy = Policy::default().with_patterns(patterns).expect("fine");
    policy.epoch = epoch;
    policy.to_bytes()
}

const BADGES: &str = r#"[{"service":"s0","message":"badge B-17 of bob@example.com"},
    {"service":"s1","message":"badge B-18, client@10.1.2.3"}]"#;

#[tokio::test]
async fn what_a_shard_refuses_as_outdated_is_masked_again_as_it_came() {
    for key in [None, Some(producer("p", 1))] {
        let fake = Fake {
            lowest: Mutex::new(BTreeMap::from([(1, 2)])),
            ..Fake::default()
        };
        let (gateway, fake) = gateway(fake);
        let masking = Arc::clone(&gateway.inner.masking);
        let learn = async {
            while fake.blocks.lock().is_empty() {
                tokio::task::yield_now().await;
            }
            // Finds across what the policy before it masks.
            let pattern = r"B-[0-9]+(, client@[0-9.]+)?";
            masking.adopt(2, &policy(2, pattern)).expect("fine");
        };
        let (pushed, ()) = tokio::join!(push(&gateway, BADGES, key), learn);
        let pushed = pushed.expect("stored");
        let mut stored = Vec::new();
        for block in &*fake.blocks.lock() {
            let header = block.header();
            for record in block.columns().expect("readable").records() {
                stored.push((header.policy_epoch, record.message.clone()));
            }
        }
        assert_eq!(
            stored,
            [
                (1, "badge B-17 of b***@example.com".to_owned()),
                (2, "badge [BADGE]".to_owned()),
            ]
        );
        let epochs: Vec<_> = pushed.receipts.iter().map(|r| r.policy_epoch).collect();
        assert_eq!(epochs, [1, 2]);
        let found = |name| pushed.pii.get(name).copied();
        assert_eq!(
            (found("email"), found("badge"), found("ipv4")),
            (Some(1), Some(1), None)
        );
        tokio::task::yield_now().await;
        gateway
            .admission()
            .take(1 << 20)
            .expect("all of it is free");
    }
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_does_not_learn_the_policy_refuses() {
    let fake = Fake {
        lowest: Mutex::new(BTreeMap::from([(0, 2), (1, 2)])),
        ..Fake::default()
    };
    let (gateway, fake) = gateway(fake);
    let failure = push(&gateway, TWO, None).await.expect_err("refused");
    assert_eq!(failure.kind, Kind::Unavailable);
    assert!(failure.message.contains("patterns"), "{failure}");
    assert!(fake.blocks.lock().is_empty());
}

#[tokio::test]
async fn rows_of_two_policies_share_no_block() {
    let fake = Fake {
        hold: Some(Notify::new()),
        ..Fake::default()
    };
    let (gateway, fake) = gateway(fake);
    let hold = fake.hold.as_ref().expect("set");
    let body = r#"{"service":"s0","message":"badge B-1"}"#;
    let masking = Arc::clone(&gateway.inner.masking);
    let pushes = async {
        // The first is on its way while the others wait for it.
        let first = push(&gateway, body, None);
        let second = push(&gateway, body, None);
        let third = async {
            tokio::task::yield_now().await;
            masking.adopt(2, &policy(2, "B-[0-9]")).expect("fine");
            push(&gateway, body, None).await
        };
        tokio::join!(first, second, third)
    };
    let release = async {
        loop {
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            hold.notify_one();
        }
    };
    tokio::select! {
        (a, b, c) = pushes => assert!(a.is_ok() && b.is_ok() && c.is_ok()),
        () = release => {}
    }
    for block in &*fake.blocks.lock() {
        let masked = if block.header().policy_epoch == 1 {
            "badge B-1"
        } else {
            "badge [BADGE]"
        };
        for record in block.columns().expect("readable").records() {
            assert_eq!(record.message, masked);
        }
    }
    assert_eq!(rows(&fake.blocks.lock()), 3);
}

#[tokio::test]
async fn a_keyed_request_is_cut_alike_whatever_masking_makes_of_it() {
    let text = "B-1 ".repeat(300);
    let body: Vec<String> = (0..2_000)
        .map(|i| format!(r#"{{"service":"s{}","message":"{text}"}}"#, i % 2))
        .collect();
    let body = body.join("\n");
    let mut seen = Vec::new();
    for replacement in ["x", "a longer text than it was before"] {
        let (gateway, fake) = gateway_with(Fake::default(), 1 << 30);
        let mut pattern = Pattern::new("badge", "B-[0-9]");
        pattern.replacement = Some(replacement.into());
        let policy = Policy::default()
            .with_patterns(vec![pattern])
            .expect("fine");
        gateway
            .inner
            .masking
            .adopt(2, &policy.to_bytes())
            .expect("fine");
        push(&gateway, &body, Some(producer("p", 9)))
            .await
            .expect("stored");
        let mut parts: Vec<_> = fake
            .blocks
            .lock()
            .iter()
            .flat_map(|block| block.header().parts.clone())
            .map(|part| (part.key.expect("keyed"), part.rows.len()))
            .collect();
        parts.sort();
        seen.push(parts);
    }
    assert!(seen[0].len() > 2, "{} parts", seen[0].len());
    assert_eq!(seen[0], seen[1]);
}
