//! The vendors' limits, in the clock's time.
//!
//! Invariant: what the headers say is what is enforced. It must not wait: who is over the limit is refused.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::order::Order;
use super::world::{AwsLimits, GcpLimits, World};

/// Okta's limits for Workforce Identity: calls a minute, by what they count towards, and calls at once.
pub(super) const BUCKETS: [(&str, u32); 7] = [
    ("groups", 500),
    ("group", 1000),
    ("users", 600),
    ("user", 600),
    ("apps", 100),
    ("other", 1200),
    ("concurrent", 75),
];

/// Calls made, by what they count towards.
#[derive(Debug, Default)]
pub(super) struct Limits {
    windows: BTreeMap<String, (Timestamp, u32)>,
    buckets: BTreeMap<String, (Timestamp, f64)>,
}

/// How a call stands to Okta's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    /// Calls a minute.
    pub(super) limit: u32,
    /// Calls left; `None`: this one is too many.
    pub(super) left: Option<u32>,
    /// When it starts anew, in seconds since 1970.
    pub(super) reset: i64,
}

impl Limits {
    /// Counts a call to Okta.
    pub(super) fn okta(&mut self, world: &World, bucket: &'static str, now: Timestamp) -> Window {
        self.minute(limit(world, bucket), bucket, now)
    }

    /// Counts a call to Google; `false`: it is too many.
    pub(super) fn google(&mut self, world: &World, write: bool, now: Timestamp) -> bool {
        let Some(GcpLimits { reads_per_minute, writes_per_minute }) = world.gcp.limits else { return true };
        let (limit, bucket) =
            if write { (writes_per_minute, "google writes") } else { (reads_per_minute, "google reads") };
        self.minute(limit, bucket, now).left.is_some()
    }

    /// Counts a call among those of its minute.
    fn minute(&mut self, limit: u32, bucket: &str, now: Timestamp) -> Window {
        let minute = SignedDuration::from_secs(60);
        let (start, used) = self.windows.entry(bucket.to_owned()).or_insert((now, 0));
        if now.duration_since(*start) >= minute {
            (*start, *used) = (now, 0);
        }
        let end = start.saturating_add(minute).unwrap_or(Timestamp::MAX);
        let reset = end.as_second() + i64::from(end.subsec_nanosecond() > 0);
        if *used >= limit {
            return Window { limit, left: None, reset };
        }
        *used += 1;
        Window { limit, left: Some(limit - *used), reset }
    }

    /// Whether so many calls to Okta at once are too many.
    pub(super) fn too_many_at_once(world: &World, under_way: usize) -> bool {
        usize::try_from(limit(world, "concurrent")).is_ok_and(|most| under_way > most)
    }

    /// Counts a call to AWS; `false`: it is too many.
    pub(super) fn aws(&mut self, limits: Option<AwsLimits>, order: &Order, now: Timestamp) -> bool {
        let Some(AwsLimits { per_second, burst }) = limits else { return true };
        let burst = f64::from(burst);
        let (last, tokens) = self.buckets.entry(order.account().to_owned()).or_insert((now, burst));
        *tokens =
            (*tokens + now.duration_since(*last).as_secs_f64().max(0.0) * f64::from(per_second)).min(burst);
        *last = now;
        let fits = *tokens >= 1.0;
        if fits {
            *tokens -= 1.0;
        }
        fits
    }
}

/// What Okta allows in this world.
fn limit(world: &World, bucket: &str) -> u32 {
    let default = BUCKETS.iter().find(|(name, _)| *name == bucket).map_or(u32::MAX, |(_, limit)| *limit);
    world.okta.limits.get(bucket).copied().unwrap_or(default)
}
