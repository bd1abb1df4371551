//! The directory: people, the apps that act for them, and who the caller is.
//!
//! Invariant: who was deleted is listed only where he is asked for.

use serde_json::{Value as Json, json};

use super::super::order::Reply;
use super::super::world::GcpUser;
use super::{Answer, Context, Problem, etag, stamp};

impl Context<'_> {
    /// What is below `/admin/directory/v1/users`.
    pub(super) fn directory(&mut self, method: &str, words: &[&str]) -> Answer {
        match (method, words) {
            ("GET", []) => self.list_users(),
            ("GET", [key]) => Ok(Reply::json(200, &self.shown_user(self.find_user(key)?))),
            ("DELETE", [key]) => self.delete_user(key),
            ("POST", [key, "signOut"]) => {
                self.user_mut(key)?.sessions = 0;
                Ok(Reply::nothing())
            }
            ("GET", [key, "tokens"]) => self.list_tokens(key),
            ("DELETE", [key, "tokens", client]) => {
                if self.user_mut(key)?.tokens.remove(*client).is_none() {
                    return Err(Problem::missing("Resource Not Found: clientId"));
                }
                Ok(Reply::nothing())
            }
            _ => Err(super::unknown()),
        }
    }

    fn find_user(&self, key: &str) -> Result<&GcpUser, Problem> {
        let user = self.gcp().user(key).filter(|user| user.deleted.is_none());
        user.ok_or_else(|| Problem::missing("Resource Not Found: userKey"))
    }

    fn user_mut(&mut self, key: &str) -> Result<&mut GcpUser, Problem> {
        let email = self.find_user(key)?.email.clone();
        self.gcp_mut().users.get_mut(&email).ok_or_else(Problem::denied)
    }

    fn list_users(&self) -> Answer {
        let customer = self.order.query("customer");
        let domain = self.order.query("domain");
        let own = |customer: &str| customer == "my_customer" || customer == self.gcp().customer;
        match (customer, domain) {
            (Some(customer), _) if own(&customer) => {}
            (None, Some(domain)) if domain.eq_ignore_ascii_case(&self.gcp().domain) => {}
            (None, None) => return Err(Problem::invalid("Bad Request: customer or domain is required.")),
            _ => return Err(Problem::denied()),
        }
        let deleted = self.order.query("showDeleted").as_deref() == Some("true");
        let users = self.gcp().users.iter().filter(|(_, user)| user.deleted.is_some() == deleted);
        let (page, next) = self.part((100, 500), users, |user| self.shown_user(user))?;
        let mut json =
            json!({"kind": "admin#directory#users", "etag": etag(&["users", &page.len().to_string()])});
        if !page.is_empty() {
            json["users"] = page.into();
        }
        if let Some(next) = next {
            json["nextPageToken"] = next.into();
        }
        Ok(Reply::json(200, &json))
    }

    fn delete_user(&mut self, key: &str) -> Answer {
        let now = self.moment.now;
        let user = self.user_mut(key)?;
        user.deleted = Some(now);
        user.tokens.clear();
        user.sessions = 0;
        let (email, id) = (user.email.clone(), user.id.clone());
        let gcp = self.gcp_mut();
        gcp.groups.values_mut().for_each(|group| _ = group.members.remove(&email));
        gcp.rename_member(&format!("user:{email}"), &format!("deleted:user:{email}?uid={id}"));
        Ok(Reply::nothing())
    }

    fn list_tokens(&self, key: &str) -> Answer {
        let user = self.find_user(key)?;
        let tokens = user.tokens.values().map(|token| {
            json!({"kind": "admin#directory#token", "etag": etag(&["token", &user.id, &token.client]),
                "clientId": token.client, "displayText": token.name, "userKey": user.id,
                "scopes": token.scopes, "anonymous": false, "nativeApp": false})
        });
        let tokens: Vec<Json> = tokens.collect();
        let mut json = json!({"kind": "admin#directory#tokenList", "etag": etag(&["tokens", &user.id])});
        if !tokens.is_empty() {
            json["items"] = tokens.into();
        }
        Ok(Reply::json(200, &json))
    }

    /// A person as Google shows him.
    fn shown_user(&self, user: &GcpUser) -> Json {
        let full = format!("{} {}", user.given, user.family);
        let mut json = json!({"kind": "admin#directory#user", "id": user.id, "primaryEmail": user.email,
            "name": {"givenName": user.given, "familyName": user.family, "fullName": full.trim()},
            "etag": etag(&["user", &user.id]), "isAdmin": false, "isDelegatedAdmin": false,
            "suspended": user.suspended, "archived": user.archived, "orgUnitPath": user.org_unit,
            "emails": [{"address": user.email, "primary": true}], "customerId": self.gcp().customer,
            "creationTime": stamp(None), "isMailboxSetup": true, "includeInGlobalAddressList": true,
            // Who never signed in did so in 1970: https://developers.google.com/workspace/admin/directory/reference/rest/v1/users
            "lastLoginTime": user.last_login.map_or_else(|| "1970-01-01T00:00:00.000Z".to_owned(), |at| at.to_string())});
        if user.suspended {
            json["suspensionReason"] = "ADMIN".into();
        }
        if let Some(time) = user.deleted {
            json["deletionTime"] = time.to_string().into();
        }
        json
    }

    /// Who the token is of.
    pub(super) fn caller(&self) -> Answer {
        let caller = &self.gcp().caller;
        let email = caller.split_once(':').map_or(caller.as_str(), |(_, email)| email);
        let id = super::keyed::digits(&["caller", email], 21);
        Ok(Reply::json(200, &json!({"id": id, "email": email, "verified_email": true})))
    }
}
