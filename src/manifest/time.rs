//! Times as people write them: dates, time stamps with an offset, and durations such as `7d`.
//!
//! Invariant: every text means one instant, whatever machine reads it: the zones are compiled in.
//! It must not know what time it is.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::model::{Code, Finding, Spanned};

/// A text that is no time or duration.
pub const BAD_TIME: Code = Code { code: "RC117", title: "a date, time, duration or time zone that is none" };

/// The instant a `from:` begins: a date begins with its day in the zone.
pub(crate) fn start(
    text: &Spanned<String>,
    zone: &TimeZone,
    findings: &mut Vec<Finding>,
) -> Option<Spanned<Timestamp>> {
    instant(text, zone, false, findings)
}

/// The instant an `until:` ends: a date ends where the next day begins in the zone.
pub(crate) fn end(
    text: &Spanned<String>,
    zone: &TimeZone,
    findings: &mut Vec<Finding>,
) -> Option<Spanned<Timestamp>> {
    instant(text, zone, true, findings)
}

fn instant(
    text: &Spanned<String>,
    zone: &TimeZone,
    whole_day: bool,
    findings: &mut Vec<Finding>,
) -> Option<Spanned<Timestamp>> {
    // A date and nothing else: the parser would take a date out of longer texts too.
    let parsed = if text.len() == 10 {
        text.parse::<Date>().ok().and_then(|date| {
            let date = if whole_day { date.tomorrow().ok()? } else { date };
            Some(date.to_zoned(zone.clone()).ok()?.timestamp())
        })
    } else if text.as_bytes().get(10) == Some(&b'T') {
        text.parse::<Timestamp>().ok()
    } else {
        None
    };
    if parsed.is_none() {
        let zone = zone.iana_name().unwrap_or("the time zone of `rolecall.yaml`");
        findings.push(
            Finding::error(BAD_TIME, format!("`{}` is not a date, or a time with its offset", text.value))
                .at(&text.span)
                .help(format!("write `2026-12-31` (the whole day, in {zone}) or `2026-12-31T18:00-08:00`")),
        );
    }
    Some(Spanned { value: parsed?, span: text.span.clone() })
}

/// A duration: a whole number and `m`, `h`, `d` (24 hours) or `w`.
pub(crate) fn duration(text: &Spanned<String>, findings: &mut Vec<Finding>) -> Option<SignedDuration> {
    let parsed = parse_duration(text);
    if parsed.is_none() {
        findings.push(
            Finding::error(BAD_TIME, format!("`{}` is not a duration", text.value))
                .at(&text.span)
                .help("write a whole number and `m`, `h`, `d` or `w`, such as `8h` or `7d`"),
        );
    }
    parsed
}

fn parse_duration(text: &str) -> Option<SignedDuration> {
    let unit = text.chars().last()?;
    let number = text.strip_suffix(unit)?;
    let seconds = match unit {
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return None,
    };
    if number.is_empty() || number.len() > 6 || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(SignedDuration::from_secs(number.parse::<i64>().ok()? * seconds))
}

/// A time zone by its IANA name.
pub(crate) fn zone(text: &Spanned<String>, findings: &mut Vec<Finding>) -> Option<TimeZone> {
    let zone = jiff::tz::TimeZoneDatabase::bundled().get(text).ok();
    if zone.is_none() {
        findings.push(
            Finding::error(BAD_TIME, format!("`{}` is not a time zone", text.value))
                .at(&text.span)
                .help("write an IANA name such as `America/Los_Angeles` or `UTC`"),
        );
    }
    zone
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Span;

    fn text(text: &str) -> Spanned<String> {
        Spanned { value: text.into(), span: Span::file("x.yaml") }
    }

    #[test]
    fn a_date_is_its_whole_day_in_the_zone() {
        let findings = &mut Vec::new();
        let zone = zone(&text("America/Los_Angeles"), findings).unwrap();
        let at = |timestamp: Option<Spanned<Timestamp>>| timestamp.unwrap().value.to_string();
        assert_eq!(at(end(&text("2026-12-31"), &zone, findings)), "2027-01-01T08:00:00Z");
        assert_eq!(at(start(&text("2026-12-31"), &zone, findings)), "2026-12-31T08:00:00Z");
        // The day on which the clocks go forward has 23 hours.
        assert_eq!(at(start(&text("2026-03-08"), &zone, findings)), "2026-03-08T08:00:00Z");
        assert_eq!(at(end(&text("2026-03-08"), &zone, findings)), "2026-03-09T07:00:00Z");
        assert_eq!(at(end(&text("2026-11-22T19:00-08:00"), &zone, findings)), "2026-11-23T03:00:00Z");
        assert_eq!(at(end(&text("2026-11-22T19:00:05Z"), &zone, findings)), "2026-11-22T19:00:05Z");
        assert!(findings.is_empty());
    }

    #[test]
    fn times_that_could_mean_several_instants_are_refused() {
        for wrong in [
            "",
            "tomorrow",
            "2026-13-01",
            "2026-02-30",
            "20261231",
            "2026-12-31T18:00",
            "2026-12-31 18:00",
            "2026-12-31T25:00Z",
            "9999-12-31",
            "31.12.2026",
            "2026-12-3",
        ] {
            let mut findings = Vec::new();
            assert!(end(&text(wrong), &TimeZone::UTC, &mut findings).is_none(), "{wrong}");
            assert_eq!(findings.len(), 1, "{wrong}");
        }
    }

    #[test]
    fn durations() {
        for (good, seconds) in [("90m", 5_400), ("8h", 28_800), ("7d", 604_800), ("2w", 1_209_600), ("0d", 0)]
        {
            assert_eq!(parse_duration(good).unwrap().as_secs(), seconds);
        }
        for wrong in ["", "d", "7", "7 d", "-7d", "7D", "1.5h", "9999999d", "7é", "é"] {
            assert!(parse_duration(wrong).is_none(), "{wrong}");
        }
    }
}
