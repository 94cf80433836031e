//! What stands behind a block that does not come back.

use super::*;

/// Never answers for its first block and refuses the others at once, like a shard that has lost its majority
/// while a block was on its way.
#[derive(Default)]
struct Silent {
    took: Mutex<bool>,
}

impl Sink for Silent {
    fn route(&self, _: &str) -> Result<Vec<ShardId>, Refused> {
        Ok(vec![ShardId { bucket: 1, slot: 0 }])
    }

    fn propose(&self, _: Block, deadline: Instant) -> BoxFuture<'_, Result<Vec<Placed>, Refused>> {
        Box::pin(async move {
            if !std::mem::replace(&mut *self.took.lock(), true) {
                tokio::time::sleep_until(deadline).await;
                return Err(Refused::OutcomeUnknown);
            }
            Err(Refused::Unavailable)
        })
    }
}

#[tokio::test(start_paused = true)]
async fn who_comes_behind_an_overdue_block_is_told_before_it_comes_back() {
    let gateway = gateway_over(Arc::new(Silent::default()), 1 << 20, 1);
    let one = r#"{"service":"s0","message":"m"}"#;
    let behind = async {
        tokio::time::sleep(BLOCK_OVERDUE / 10).await;
        push(&gateway, one, None).await
    };
    tokio::select! {
        biased;
        _ = push(&gateway, one, None) => panic!("the overdue block came back first"),
        told = behind => assert_eq!(told.unwrap_err().kind, Kind::Unavailable),
    }
}
