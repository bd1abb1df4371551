//! A time on the command line: an instant, or a day in the organization's zone.

use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// A time as it was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// `2026-12-31T17:00:00Z`.
    Instant(Timestamp),
    /// `2026-12-31`: the beginning of that day, when what is `until` the day before has ended.
    Day(Date),
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(instant) = text.parse() {
            return Ok(Self::Instant(instant));
        }
        // A date and time without an offset would mean another instant in each zone.
        match text.parse() {
            Ok(day) if text.len() == "2026-12-31".len() => Ok(Self::Day(day)),
            _ => Err("write a day such as `2026-12-31`, or a time with its offset: `2026-12-31T17:00-08:00`"
                .to_owned()),
        }
    }
}

impl When {
    /// The instant, where days are those of `zone`.
    pub(super) fn in_zone(self, zone: &TimeZone) -> Timestamp {
        match self {
            Self::Instant(instant) => instant,
            Self::Day(day) => day.to_zoned(zone.clone()).map_or(Timestamp::MAX, |day| day.timestamp()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_where_the_organization_is() {
        let zone = TimeZone::fixed(jiff::tz::offset(-8));
        let at = |text: &str| text.parse::<When>().map(|when| when.in_zone(&zone).to_string());
        assert_eq!(at("2026-12-31").unwrap(), "2026-12-31T08:00:00Z");
        assert_eq!(at("2026-12-31T17:00-08:00").unwrap(), "2027-01-01T01:00:00Z");
        for wrong in ["yesterday", "2026-12-31T17:00", "2026-13-01", "31.12.2026", ""] {
            assert!(at(wrong).unwrap_err().contains("offset"), "{wrong}");
        }
    }
}
