//! Drift as a message for a chat that takes Slack's webhooks: Slack itself, Mattermost, Rocket.Chat.
//!
//! Invariant: `&`, `<` and `>` from data are escaped, so that there is no mention and no link; and the message is short.

use serde_json::json;

use super::escape::visible;
use super::words::count;
use crate::model::Plan;

/// How many things are named.
const NAMED: usize = 10;

/// The body to post; `link` is where more stands.
#[must_use]
pub fn drift(plan: &Plan, organization: &str, link: Option<&str>) -> String {
    let mut text = format!(
        "*{}*: {}",
        escape(organization),
        count(plan.drift.len(), "thing moved by itself", "things moved by themselves")
    );
    for drift in plan.drift.iter().take(NAMED) {
        text.push_str(&format!("\n• {}: {}", escape(&drift.change.target()), escape(&drift.text)));
    }
    let more = plan.drift.len().saturating_sub(NAMED);
    if more > 0 {
        text.push_str(&format!("\nand {more} more"));
    }
    if let Some(link) = link.filter(|link| link.starts_with("https://") && !link.contains(['|', '>', '<'])) {
        text.push_str(&format!("\n<{}|the job>", escape(link)));
    }
    format!("{}\n", json!({ "text": text }))
}

/// The three characters that Slack gives a meaning (checked in November 2026), and those that cannot be seen. What makes
/// words bold or code there is made harmless by the letter-like sign in its place.
fn escape(text: &str) -> String {
    let text = visible(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('*', "∗").replace('`', "'").replace('~', "∼")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::fixture;

    #[test]
    fn invariant_38_a_message_holds_no_mention_or_link_from_data() {
        let mut plan = fixture::plan();
        for drift in &mut plan.drift {
            drift.text = "<!channel> <https://evil.example|x> & *b* `c`\n".into();
        }
        let body: serde_json::Value =
            serde_json::from_str(&drift(&plan, "a<b>", Some("https://gitlab.example/-/jobs/1"))).unwrap();
        let text = body["text"].as_str().unwrap();
        assert!(text.contains("&lt;!channel&gt;") && text.contains("a&lt;b&gt;"), "{text}");
        assert_eq!(text.matches('<').count(), 1, "{text}");
        assert!(text.ends_with("<https://gitlab.example/-/jobs/1|the job>"), "{text}");
        assert!(!drift(&plan, "a", Some("javascript:x")).contains("javascript"));
    }

    #[test]
    fn many_are_counted_and_not_listed() {
        let mut plan = fixture::plan();
        let one = plan.drift[0].clone();
        plan.drift = vec![one; 25];
        let body: serde_json::Value = serde_json::from_str(&drift(&plan, "acme", None)).unwrap();
        let text = body["text"].as_str().unwrap();
        assert!(
            text.starts_with("*acme*: 25 things moved by themselves") && text.ends_with("and 15 more"),
            "{text}"
        );
    }
}
