//! How an apply goes on, on stderr: one live line on a terminal, one line a change elsewhere, as in the logs of a pipeline.
//!
//! Invariant: what is told is at once complete, and nothing but people reads it. It must not wait.

use std::io::IsTerminal as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::say;
use crate::apply::executor::{Progress, Tally};
use crate::model::Change;
use crate::model::report::{State, Step};
use crate::provider::Clock;
use crate::render::escape::visible;

/// How often the live line is drawn at most.
const DRAWN: SignedDuration = SignedDuration::from_millis(100);

/// Shows how a run goes on.
pub(super) struct Shown {
    clock: Arc<dyn Clock>,
    live: bool,
    out: Box<dyn Fn(&str) + Send + Sync>,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    began: Option<Timestamp>,
    drawn: Option<Timestamp>,
    /// How wide the live line is now.
    width: usize,
    waiting: Option<(String, Timestamp)>,
    tally: Tally,
}

impl Shown {
    /// On stderr, as suits it.
    pub(super) fn on_stderr(clock: Arc<dyn Clock>) -> Self {
        Self::new(clock, std::io::stderr().is_terminal(), Box::new(say))
    }

    fn new(clock: Arc<dyn Clock>, live: bool, out: Box<dyn Fn(&str) + Send + Sync>) -> Self {
        Self { clock, live, out, told: Mutex::default() }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Draws the live line anew. It is padded, not erased, so that it needs no colours.
    fn draw(&self, told: &mut Told, always: bool) {
        let now = self.clock.now();
        if !self.live || (!always && told.drawn.is_some_and(|drawn| now.duration_since(drawn) < DRAWN)) {
            return;
        }
        told.drawn = Some(now);
        let line = told.line(now);
        let width = line.chars().count();
        (self.out)(&format!("\r{line}{}", " ".repeat(told.width.saturating_sub(width))));
        told.width = width;
    }

    /// A line that stays.
    fn say(&self, told: &mut Told, line: &str) {
        let padding = if self.live { told.width.saturating_sub(line.chars().count()) } else { 0 };
        let start = if self.live { "\r" } else { "" };
        (self.out)(&format!("{start}{line}{}\n", " ".repeat(padding)));
        told.width = 0;
    }
}

impl Told {
    /// `12/200, 4 under way, 180 a minute, 1m 2s left, waiting for okta / until 12:01:00 UTC`
    fn line(&self, now: Timestamp) -> String {
        let Tally { total, ended, under_way, left } = self.tally;
        let mut parts = vec![format!("{ended}/{total}"), format!("{under_way} under way")];
        let seconds = self.began.map_or(0, |began| now.duration_since(began).as_secs());
        let rate = u64::try_from(seconds).ok().filter(|s| *s > 0).map(|s| ended as u64 * 60 / s);
        parts.extend(rate.map(|rate| format!("{rate} a minute")));
        // The limits say how long it must take, the rate so far how long it seems to; the longer of them is believed.
        let rest = total.saturating_sub(ended) as u64;
        let seems = rate.filter(|rate| *rate > 0).map(|rate| Duration::from_secs(rest * 60 / rate));
        let left = left.max(seems).filter(|left| !left.is_zero());
        parts.extend(left.map(|left| format!("{} left", span(left))));
        if let Some((what, until)) = self.waiting.as_ref().filter(|(_, until)| *until > now) {
            parts.push(format!("waiting for {} until {}", visible(what), time(*until)));
        }
        parts.join(", ")
    }
}

impl Progress for Shown {
    fn begun(&self, _: &Change, tally: Tally) {
        let told = &mut *self.told();
        told.began.get_or_insert_with(|| self.clock.now());
        told.tally = tally;
        self.draw(told, false);
    }

    fn ended(&self, step: &Step, tally: Tally) {
        let told = &mut *self.told();
        told.tally = tally;
        let well = matches!(step.state, State::Done | State::Already);
        if !self.live || !well {
            let message = step.message.as_ref().filter(|_| !well);
            let message = message.map_or_else(String::new, |message| format!(": {}", visible(message)));
            let (op, target, state) = (step.op, visible(&step.target), step.state);
            self.say(told, &format!("{}/{} {state} {op} {target}{message}", tally.ended, tally.total));
        }
        self.draw(told, tally.ended == tally.total);
    }

    fn waiting(&self, what: &str, until: Timestamp) {
        let told = &mut *self.told();
        told.waiting = Some((what.to_owned(), until));
        if !self.live {
            self.say(told, &format!("waiting for {} until {}", visible(what), time(until)));
        }
        self.draw(told, true);
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        let width = self.told().width;
        if width > 0 {
            (self.out)(&format!("\r{}\r", " ".repeat(width)));
        }
    }
}

fn span(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds @ 60..3600 => format!("{}m {}s", seconds / 60, seconds % 60),
        seconds => format!("{}h {}m", seconds / 3600, seconds / 60 % 60),
    }
}

fn time(at: Timestamp) -> String {
    at.strftime("%H:%M:%S UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::plan::Risk;
    use crate::model::{Digest, Op};
    use crate::provider::VirtualClock;

    /// What is shown of a change that is done, one that fails, and a wait.
    fn shown(live: bool) -> String {
        let text = Arc::new(Mutex::new(String::new()));
        let clock = Arc::new(VirtualClock::at("2026-11-22T12:00:00Z".parse().unwrap()));
        let out = text.clone();
        let shown = Shown::new(clock.clone(), live, Box::new(move |more| out.lock().unwrap().push_str(more)));
        shown.told().began = Some(clock.now());
        let step = |state, message: Option<&str>| Step {
            effect: Digest::of(&1),
            op: Op::Grant,
            target: "okta:user/x member okta:group/y".into(),
            risk: Risk::Low,
            state,
            message: message.map(Into::into),
            request_id: None,
        };
        let tally = |ended| Tally { total: 200, ended, under_way: 4, left: Some(Duration::from_secs(190)) };
        clock.advance(Duration::from_secs(1));
        shown.ended(&step(State::Done, None), tally(10));
        clock.advance(Duration::from_secs(1));
        shown.ended(&step(State::Failed, Some("no\u{1b}[2J")), tally(11));
        shown.waiting("okta /", "2026-11-22T12:01:00Z".parse().unwrap());
        drop(shown);
        text.lock().unwrap().clone()
    }

    #[test]
    fn in_a_log_each_change_has_one_whole_line() {
        assert_eq!(
            shown(false),
            "10/200 done grant okta:user/x member okta:group/y\n\
             11/200 failed grant okta:user/x member okta:group/y: no\\u{1b}[2J\n\
             waiting for okta / until 12:01:00 UTC\n"
        );
    }

    #[test]
    fn on_a_terminal_one_line_lives_and_only_what_went_wrong_stays() {
        let text = shown(true);
        assert_eq!(text.matches('\n').count(), 1, "{text:?}");
        assert!(text.starts_with("\r10/200, 4 under way, 600 a minute, 3m 10s left"), "{text:?}");
        assert!(text.contains("\r11/200 failed grant okta:user/x"), "{text:?}");
        assert!(text.contains("waiting for okta / until 12:01:00 UTC"), "{text:?}");
        assert!(text.ends_with(" \r") && !text.contains('\u{1b}'), "it cleans up, without colours: {text:?}");
    }
}
