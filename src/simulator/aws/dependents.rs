//! What hangs on a user and must go before he can: access keys, password, MFA devices.
//!
//! Invariant: no secret is made or shown.

use super::Problem;
use super::iam::{Answer, Iam, Kind, stamp};
use super::xml::Xml;

impl Iam<'_> {
    /// The user that is named, or else the caller.
    fn user_name(&self) -> String {
        let caller = self.caller.rsplit('/').next().unwrap_or_default();
        self.params.text("UserName").unwrap_or(caller).to_owned()
    }

    pub(super) fn list_access_keys(&self) -> Answer {
        let user = self.find_user(&self.user_name())?;
        self.page(user.access_keys.iter().map(|key| (key.clone(), key)), |xml, page| {
            xml.list("AccessKeyMetadata", page, |xml, key| {
                xml.leaf("UserName", &user.name);
                xml.leaf("AccessKeyId", key);
                let status = if user.inactive_keys.contains(key) { "Inactive" } else { "Active" };
                xml.leaf("Status", status);
                xml.leaf("CreateDate", &stamp(user.created));
            });
        })
    }

    pub(super) fn delete_access_key(&mut self) -> Answer {
        let key = self.params.need("AccessKeyId")?.to_owned();
        let name = self.user_name();
        let user = self.user_mut(&name)?;
        if !user.access_keys.remove(&key) {
            return Err(no_key(&key));
        }
        user.inactive_keys.remove(&key);
        Ok(None)
    }

    pub(super) fn update_access_key(&mut self) -> Answer {
        let key = self.params.need("AccessKeyId")?.to_owned();
        let status = self.params.need("Status")?.to_owned();
        let name = self.user_name();
        let user = self.user_mut(&name)?;
        if !user.access_keys.contains(&key) {
            return Err(no_key(&key));
        }
        match status.as_str() {
            "Active" => user.inactive_keys.remove(&key),
            "Inactive" => user.inactive_keys.insert(key),
            // A key expires by itself alone.
            _ => {
                let message = format!(
                    "1 validation error detected: Value '{status}' at 'status' failed to satisfy constraint: Member must satisfy enum value set: [Active, Inactive]"
                );
                return Err(Problem::validation(message));
            }
        };
        Ok(None)
    }

    pub(super) fn read_login_profile(&self) -> Answer {
        let user = self.find_user(&self.user_name())?;
        if !user.login_profile {
            return Err(no_login_profile(&user.name));
        }
        let mut xml = Xml::default();
        xml.node("LoginProfile", |xml| {
            xml.leaf("UserName", &user.name);
            xml.leaf("CreateDate", &stamp(user.created));
            xml.leaf("PasswordResetRequired", "false");
        });
        Ok(Some(xml.finish()))
    }

    pub(super) fn delete_login_profile(&mut self) -> Answer {
        let name = self.user_name();
        let user = self.user_mut(&name)?;
        if !std::mem::take(&mut user.login_profile) {
            return Err(no_login_profile(&name));
        }
        Ok(None)
    }

    pub(super) fn list_mfa(&self) -> Answer {
        let user = self.find_user(&self.user_name())?;
        self.page(user.mfa.iter().map(|serial| (serial.clone(), serial)), |xml, page| {
            xml.list("MFADevices", page, |xml, serial| {
                xml.leaf("UserName", &user.name);
                xml.leaf("SerialNumber", serial);
                xml.leaf("EnableDate", &stamp(user.created));
            });
        })
    }

    pub(super) fn deactivate_mfa(&mut self) -> Answer {
        let serial = self.params.need("SerialNumber")?.to_owned();
        let name = self.user_name();
        if !self.user_mut(&name)?.mfa.remove(&serial) {
            return Err(Problem::missing(format!("MFA device with serial number {serial} does not exist.")));
        }
        Ok(None)
    }

    /// An empty list of what the world does not have, of something that must exist.
    pub(super) fn none_of(&self, list: &str, kind: Option<Kind>) -> Answer {
        match kind {
            Some(Kind::User) => drop(self.find_user(&self.user_name())?),
            Some(Kind::Role) => drop(self.find_role(self.params.need("RoleName")?)?),
            Some(Kind::Group) | None => {}
        }
        self.page(std::iter::empty::<(String, ())>(), |xml, _| xml.node(list, |_| ()))
    }
}

fn no_key(key: &str) -> Problem {
    Problem::missing(format!("The Access Key with id {key} cannot be found."))
}

fn no_login_profile(name: &str) -> Problem {
    Problem::missing(format!("Login Profile for User {name} cannot be found."))
}
