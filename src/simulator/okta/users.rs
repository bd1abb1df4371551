//! Users.
//!
//! Invariant: a plain list has no one who left; deleting means deactivating first.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::{Value as Json, json};

use super::super::keyed;
use super::super::order::Reply;
use super::super::world::{OktaUser, UserStatus};
use super::{Answer, Context, Object, Problem, stamp};

impl Context<'_> {
    pub(super) fn list_users(&self) -> Answer {
        let (size, after) = self.window(200, 200)?;
        let filters = self.filters()?;
        let q = self.order.query("q").map(|q| q.to_lowercase());
        let start = after.as_deref().map_or(Unbounded, Excluded);
        let users = self.okta().users.range::<str, _>((start, Unbounded)).filter_map(|(login, user)| {
            if filters.is_empty() && user.status == UserStatus::Deprovisioned {
                return None;
            }
            let shown = self.user(user);
            if !filters.is_empty() || q.is_some() {
                let json = json!(shown);
                let named = |q: &String| {
                    let starts = |key: &str| {
                        json["profile"][key].as_str().is_some_and(|it| it.to_lowercase().starts_with(q))
                    };
                    ["firstName", "lastName", "email"].into_iter().any(starts)
                };
                if !q.as_ref().is_none_or(named) || !filters.iter().all(|filter| filter.matches(&json)) {
                    return None;
                }
            }
            Some((login.as_str(), shown))
        });
        Ok(self.page(size, users))
    }

    pub(super) fn read_user(&self, id: &str) -> Answer {
        Ok(Reply::json(200, &self.user(self.find_user(id)?)))
    }

    pub(super) fn create_user(&mut self) -> Answer {
        let body = self.body()?;
        let mut profile = body["profile"].as_object().cloned().unwrap_or_default();
        let login = match profile.remove("login") {
            Some(Json::String(login)) if login.contains('@') => login,
            _ => {
                return Err(Problem::invalid(
                    "login",
                    "login: Username must be in the form of an email address",
                ));
            }
        };
        for required in ["firstName", "lastName", "email"] {
            if profile.get(required).and_then(Json::as_str).is_none_or(str::is_empty) {
                return Err(Problem::invalid(
                    required,
                    format!("{required}: The field cannot be left blank"),
                ));
            }
        }
        if self.okta().users.keys().any(|taken| taken.eq_ignore_ascii_case(&login)) {
            let cause = "login: An object with this field already exists in the current organization";
            return Err(Problem::invalid("login", cause));
        }
        let staged = self.order.query("activate").as_deref() == Some("false");
        let status = if staged { UserStatus::Staged } else { UserStatus::Provisioned };
        let id = format!("00u{}", keyed::token(&["user", &login, &self.moment.n.to_string()], 17));
        let now = Some(self.moment.now);
        let profile = profile.into_iter().collect();
        self.okta_mut().add_user(OktaUser {
            login,
            id: id.clone(),
            status,
            profile,
            created: now,
            last_updated: now,
            ..OktaUser::default()
        });
        self.read_user(&id)
    }

    pub(super) fn update_user(&mut self, id: &str, partial: bool) -> Answer {
        let login = self.find_user(id)?.login.clone();
        let mut profile = self.body()?["profile"].as_object().cloned().unwrap_or_default();
        if profile.remove("login").is_some_and(|asked| asked != login.as_str()) {
            return Err(Problem::invalid("login", "login: the simulator does not rename users"));
        }
        let now = self.moment.now;
        if let Some(user) = self.okta_mut().users.get_mut(&login) {
            if !partial {
                user.profile.clear();
            }
            for (key, value) in profile {
                if value.is_null() {
                    user.profile.remove(&key)
                } else {
                    user.profile.insert(key, value)
                };
            }
            user.last_updated = Some(now);
        }
        self.read_user(id)
    }

    pub(super) fn delete_user(&mut self, id: &str) -> Answer {
        let user = self.find_user(id)?;
        let (login, id) = (user.login.clone(), user.id.clone());
        if user.status == UserStatus::Deprovisioned {
            self.okta_mut().users.remove(&login);
            self.okta_mut().logins.remove(&id);
            self.okta_mut().groups.values_mut().for_each(|group| {
                group.members.remove(&login);
            });
            self.okta_mut().rules.values_mut().for_each(|rule| {
                rule.members.remove(&login);
            });
        } else {
            self.set_status(&login, UserStatus::Deprovisioned);
        }
        Ok(Reply::nothing())
    }

    pub(super) fn turn_user(&mut self, id: &str, step: &str) -> Answer {
        let user = self.find_user(id)?;
        let login = user.login.clone();
        let status = match (step, user.status) {
            (
                "activate" | "reactivate",
                UserStatus::Staged | UserStatus::Deprovisioned | UserStatus::Provisioned,
            ) => UserStatus::Active,
            ("deactivate", status) if status != UserStatus::Deprovisioned => UserStatus::Deprovisioned,
            ("suspend", UserStatus::Active) => UserStatus::Suspended,
            ("unsuspend", UserStatus::Suspended) => UserStatus::Active,
            ("activate" | "reactivate" | "deactivate", _) => {
                let summary = "This operation is not allowed in the user's current status.";
                return Err(Problem::new(403, "E0000038", summary));
            }
            ("suspend" | "unsuspend", _) => {
                return Err(Problem::invalid("status", format!("Cannot {step} a user in this status")));
            }
            _ => return Err(Problem::new(404, "E0000008", "The requested path was not found")),
        };
        self.set_status(&login, status);
        Ok(Reply::json(200, &json!({})))
    }

    pub(super) fn end_sessions(&mut self, id: &str) -> Answer {
        for flag in ["oauthTokens", "forgetDevices"] {
            if self.order.query(flag).is_some_and(|text| text != "true" && text != "false") {
                return Err(Problem::invalid(flag, format!("{flag}: must be true or false")));
            }
        }
        let login = self.find_user(id)?.login.clone();
        if let Some(user) = self.okta_mut().users.get_mut(&login) {
            user.sessions = 0;
        }
        Ok(Reply::nothing())
    }

    fn set_status(&mut self, login: &str, status: UserStatus) {
        let now = self.moment.now;
        if let Some(user) = self.okta_mut().users.get_mut(login) {
            user.status = status;
            user.last_updated = Some(now);
        }
    }

    pub(super) fn find_user(&self, id: &str) -> Result<&OktaUser, Problem> {
        let id = if id == "me" { self.okta().token_owner.as_str() } else { id };
        self.okta().user(id).ok_or_else(|| Problem::missing(id, "User"))
    }

    /// A person as Okta shows him.
    pub(super) fn user<'a>(&'a self, user: &'a OktaUser) -> Shown<'a> {
        Shown { user, base: &self.moment.base }
    }
}

/// A person as Okta shows him. What he does not have is left out: null is in Okta's current description, but not in
/// the older one on npm.
pub(super) struct Shown<'a> {
    user: &'a OktaUser,
    base: &'a str,
}

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { user, base } = self;
        let known = user.profile.iter().filter(|(_, value)| !value.is_null());
        let mut profile: BTreeMap<&str, Field<'_>> =
            known.map(|(key, value)| (key.as_str(), Field::Given(value))).collect();
        profile.insert("login", Field::Login(&user.login));
        profile.entry("email").or_insert(Field::Login(&user.login));
        let created = stamp(user.created);
        let updated = stamp(user.last_updated.or(user.created));
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &user.id)?;
        map.serialize_entry("status", &user.status)?;
        map.serialize_entry("created", &created)?;
        map.serialize_entry("statusChanged", &updated)?;
        map.serialize_entry("lastUpdated", &updated)?;
        // Who has not signed in yet has done nothing of this.
        if !matches!(user.status, UserStatus::Staged | UserStatus::Provisioned) {
            for done in ["activated", "passwordChanged"] {
                map.serialize_entry(done, &created)?;
            }
            map.serialize_entry("lastLogin", &stamp(user.last_login.or(user.created)))?;
        }
        map.serialize_entry("type", &Object([("id", "oty0default000000000")]))?;
        map.serialize_entry("profile", &profile)?;
        let provider = Object([("type", "OKTA"), ("name", "OKTA")]);
        map.serialize_entry("credentials", &Object([("provider", provider)]))?;
        let own = Object([("href", format!("{base}/api/v1/users/{}", user.id))]);
        map.serialize_entry("_links", &Object([("self", own)]))?;
        map.end()
    }
}

/// A field of a profile.
#[derive(Serialize)]
#[serde(untagged)]
enum Field<'a> {
    Login(&'a str),
    Given(&'a Json),
}
