//! What the client asks of a relay, one function each.

use std::collections::HashSet;

use bytes::Bytes;
use reqwest::Method;
use sordino_protocol::{
    ChannelId, Code, ConversationId, DeviceId, UserId,
    batch::Head,
    frame,
    http::{
        AskReset, BackupHead, BackupHeads, Batches, Claim, Claimed, Deletion, ExternalAccount,
        ExternalLogin, HistoryPage, HistoryRow, LinkMessage, Lists, OwnEmail, PasswordAnswer,
        PasswordChallenge, PasswordFinish, PasswordLogin, PasswordRequest, PasswordToken,
        PrekeyCount, PutBatch, PutBlock, PutList, PutPrekeys, PutPush, Register, Reset,
        StoredVault, User,
    },
    limits, pb,
};

use super::http::{
    Access::{Proof, Public, Token},
    Http, no_relay,
};
use crate::{
    error::{Error, NO_NAME},
    machine::BatchToPut,
    store::ChainToRead,
};

/// Pages of lists that are fetched at a time. Where the chain is longer, [`FetchedLists::newest`] says so and the caller
/// fetches again from what it holds then.
const LIST_PAGES: usize = 20;
const NOTHING: Option<&()> = None;

/// Versions of a user's list.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FetchedLists {
    /// Ascending, by the relay's word.
    pub(crate) lists: Vec<pb::Signed>,
    /// The newest version that the relay says there is. More may follow those that were fetched.
    pub(crate) newest: u32,
    /// The account is gone, and these are what it has left.
    pub(crate) deleted: bool,
}

/// Where a device's chain of the key backup ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChainEnd {
    pub(crate) device: DeviceId,
    pub(crate) head: Head,
}

impl ChainEnd {
    /// `None`: no chain ends so.
    fn from_http(end: &BackupHead) -> Option<Self> {
        let number = end.number;
        let hash = end.hash.0.as_ref().try_into().ok()?;
        (1..=limits::CHAIN_BATCHES)
            .contains(&number)
            .then_some(Self {
                device: end.device,
                head: Head { number, hash },
            })
    }

    pub(crate) fn to_http(self) -> BackupHead {
        BackupHead {
            device: self.device,
            number: self.head.number,
            hash: self.head.hash.to_vec().into(),
        }
    }
}

/// Who of two devices that are being linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkSide {
    /// The one on the account.
    Old,
    /// The one that is to be.
    New,
}

/// A name is shown: it has to be one.
fn named(user: User) -> Result<User, Error> {
    is_name(&user.username)?;
    Ok(user)
}

fn is_name(name: &str) -> Result<(), Error> {
    let error = || Error::new(Code::RelayMisbehaved, "not a user name");
    limits::is_username(name).then_some(()).ok_or_else(error)
}

impl Http {
    pub(crate) async fn register(&self, account: &Register) -> Result<User, Error> {
        self.call(Public, Method::POST, "/v1/users", &[], Some(account))
            .await
    }

    /// The first step towards a password for a name that nobody has yet.
    pub(crate) async fn password_request(
        &self,
        request: &PasswordRequest,
    ) -> Result<PasswordAnswer, Error> {
        self.call(Public, Method::POST, "/v1/passwords", &[], Some(request))
            .await
    }

    /// The same for one's own name, which has a password already.
    pub(crate) async fn next_password_request(
        &self,
        request: &PasswordRequest,
    ) -> Result<PasswordAnswer, Error> {
        self.call(Token, Method::POST, "/v1/passwords", &[], Some(request))
            .await
    }

    /// The first step of a login by password. The answer is from the relay that is meant.
    pub(crate) async fn password_login(
        &self,
        login: &PasswordLogin,
    ) -> Result<PasswordChallenge, Error> {
        let path = "/v1/auth/password";
        let answer: PasswordChallenge = self
            .call(Public, Method::POST, path, &[], Some(login))
            .await
            .map_err(no_relay)?;
        self.must_be_meant(&answer.relay)?;
        Ok(answer)
    }

    /// The second, and a token for the account.
    pub(crate) async fn password_finish(
        &self,
        finish: &PasswordFinish,
    ) -> Result<PasswordToken, Error> {
        let path = "/v1/auth/password/finish";
        self.call(Public, Method::POST, path, &[], Some(finish))
            .await
    }

    /// Shows the token of the app's own login, for one for the account.
    pub(crate) async fn external_login(
        &self,
        login: &ExternalLogin,
    ) -> Result<ExternalAccount, Error> {
        let path = "/v1/auth/external";
        let entered: ExternalAccount = self
            .call(Public, Method::POST, path, &[], Some(login))
            .await?;
        is_name(&entered.username)?;
        Ok(entered)
    }

    /// The own vault.
    ///
    /// # Errors
    /// `NoVault`; `RelayMisbehaved` for what is none.
    pub(crate) async fn vault(&self, user: UserId) -> Result<pb::Vault, Error> {
        let path = format!("/v1/users/{user}/vault");
        let stored: Result<StoredVault, _> =
            self.call(Token, Method::GET, &path, &[], NOTHING).await;
        let stored = stored.map_err(|error| match error.code() {
            Code::NotFound => Error::new(Code::NoVault, "the relay has none"),
            _ => error,
        })?;
        frame::decode(stored.vault.0, &frame::VAULT)
            .map_err(|_| Error::new(Code::RelayMisbehaved, "what it gave as a vault is none"))
    }

    /// Ends the account, by a challenge that is signed with its identity key.
    pub(crate) async fn delete_account(
        &self,
        user: UserId,
        device: DeviceId,
        sign: impl Fn(&str, &[u8; 32]) -> [u8; 64],
    ) -> Result<(), Error> {
        let nonce = self.challenge_for(user, device).await?;
        let deletion = Deletion {
            device,
            nonce: nonce.to_vec().into(),
            signature: sign(self.relay_name(), &nonce).to_vec().into(),
        };
        let path = format!("/v1/users/{user}/deletion");
        self.call(Public, Method::POST, &path, &[], Some(&deletion))
            .await
    }

    /// Asks for another identity for the account, with the token of a login.
    pub(crate) async fn ask_reset(
        &self,
        user: UserId,
        signing_key: &[u8; 32],
    ) -> Result<Reset, Error> {
        let ask = AskReset {
            signing_key: signing_key.to_vec().into(),
        };
        let path = format!("/v1/users/{user}/reset");
        self.call(Proof, Method::POST, &path, &[], Some(&ask)).await
    }

    /// Withdraws what somebody has asked for so.
    pub(crate) async fn withdraw_reset(&self, user: UserId) -> Result<(), Error> {
        let path = format!("/v1/users/{user}/reset");
        self.call(Proof, Method::DELETE, &path, &[], NOTHING).await
    }

    /// The own e-mail address, as the operator sees it.
    pub(crate) async fn email(&self, user: UserId) -> Result<Option<String>, Error> {
        let path = format!("/v1/users/{user}/email");
        let found: OwnEmail = self.call(Token, Method::GET, &path, &[], NOTHING).await?;
        Ok(found.email)
    }

    /// Sets or removes it.
    pub(crate) async fn put_email(&self, user: UserId, email: Option<String>) -> Result<(), Error> {
        let path = format!("/v1/users/{user}/email");
        let put = OwnEmail { email };
        self.call(Proof, Method::PUT, &path, &[], Some(&put)).await
    }

    /// Stores the next list, with what belongs to it.
    pub(crate) async fn put_list(&self, user: UserId, put: &PutList) -> Result<(), Error> {
        let path = format!("/v1/users/{user}/list");
        self.call(Proof, Method::PUT, &path, &[], Some(put)).await
    }

    /// Adds a batch to this device's chain of the key backup.
    pub(crate) async fn put_batch(
        &self,
        user: UserId,
        device: DeviceId,
        batch: &BatchToPut,
    ) -> Result<(), Error> {
        let version = batch.version;
        let path = format!("/v1/users/{user}/devices/{device}/backups/{version}");
        let put = PutBatch {
            batch: batch.bytes.clone().into(),
        };
        self.call(Token, Method::PUT, &path, &[], Some(&put)).await
    }

    /// Where the chains of a version of the key backup end, by device.
    ///
    /// # Errors
    /// `RelayMisbehaved` for more of them, or other ones, than there can be.
    pub(crate) async fn backup_heads(
        &self,
        user: UserId,
        version: u32,
    ) -> Result<Vec<ChainEnd>, Error> {
        let path = format!("/v1/users/{user}/backups/{version}");
        let found: BackupHeads = self.call(Token, Method::GET, &path, &[], NOTHING).await?;
        let ends = found.heads.iter().map(ChainEnd::from_http);
        let ends = ends.collect::<Option<Vec<_>>>();
        let twice = |ends: &Vec<ChainEnd>| {
            let devices: HashSet<_> = ends.iter().map(|end| end.device).collect();
            devices.len() < ends.len()
        };
        ends.filter(|ends| ends.len() <= limits::BACKUP_CHAINS && !twice(ends))
            .ok_or_else(|| {
                let detail = "the ends of the key backup that it gives cannot be";
                Error::new(Code::RelayMisbehaved, detail)
            })
    }

    /// Batches of a chain, from the next one down.
    pub(crate) async fn batches(
        &self,
        user: UserId,
        chain: &ChainToRead,
    ) -> Result<Vec<Bytes>, Error> {
        let (version, device) = (chain.version, chain.device);
        let path = format!("/v1/users/{user}/backups/{version}/{device}");
        let query = [("upto", chain.next.number.to_string())];
        let found: Batches = self
            .call(Token, Method::GET, &path, &query, NOTHING)
            .await?;
        Ok(found.batches.into_iter().map(|batch| batch.0).collect())
    }

    /// Rows of a conversation before a seq, the newest first.
    pub(crate) async fn history(
        &self,
        conversation: ConversationId,
        before: u64,
    ) -> Result<Vec<HistoryRow>, Error> {
        let path = format!("/v1/conversations/{conversation}/messages");
        let query = [
            ("before", before.to_string()),
            ("limit", limits::PULL_ROWS.to_string()),
        ];
        let page: HistoryPage = self
            .call(Token, Method::GET, &path, &query, NOTHING)
            .await?;
        Ok(page.rows)
    }

    pub(crate) async fn user_by_name(&self, name: &str) -> Result<Option<User>, Error> {
        if !limits::is_username(name) {
            return Err(Error::new(Code::BadRequest, NO_NAME));
        }
        self.user_at(&format!("/v1/users/by-name/{name}")).await
    }

    pub(crate) async fn user_by_id(&self, user: UserId) -> Result<Option<User>, Error> {
        self.user_at(&format!("/v1/users/{user}")).await
    }

    async fn user_at(&self, path: &str) -> Result<Option<User>, Error> {
        match self.call(Token, Method::GET, path, &[], NOTHING).await {
            Ok(user) => named(user).map(Some),
            Err(error) if error.code() == Code::UserNotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The lists of `user` from version `from` on, not all of them if they are many; without it, the newest.
    ///
    /// # Errors
    /// `RelayMisbehaved` if the relay gives fewer than it says there are, so that asking again leads nowhere.
    pub(crate) async fn lists(
        &self,
        user: UserId,
        from: Option<u32>,
    ) -> Result<FetchedLists, Error> {
        let path = format!("/v1/users/{user}/lists");
        let mut lists = Vec::new();
        let (mut newest, mut deleted) = (0, false);
        let mut next = from;
        for _ in 0..LIST_PAGES {
            let query: Vec<_> = next
                .map(|from| ("from", from.to_string()))
                .into_iter()
                .collect();
            let page: Lists = self
                .call(Token, Method::GET, &path, &query, NOTHING)
                .await?;
            (newest, deleted) = (page.newest, page.deleted);
            if page.lists.is_empty() && next.is_none_or(|next| next <= newest) {
                let detail = "it gives fewer device lists than it says there are";
                return Err(Error::new(Code::RelayMisbehaved, detail));
            }
            let got = u32::try_from(page.lists.len()).unwrap_or(u32::MAX);
            lists.extend(page.lists.into_iter().map(pb::Signed::from));
            next = next.map(|from| from.saturating_add(got));
            if next.is_none_or(|next| next > newest) {
                break;
            }
        }
        Ok(FetchedLists {
            lists,
            newest,
            deleted,
        })
    }

    /// Puts a message into the pipe between two devices that are being linked.
    pub(crate) async fn put_link(
        &self,
        user: UserId,
        channel: ChannelId,
        side: LinkSide,
        number: u8,
        message: &[u8],
    ) -> Result<(), Error> {
        let put = LinkMessage {
            message: Some(message.to_vec().into()),
        };
        let path = link_path(user, channel, side, number);
        self.call(Token, Method::PUT, &path, &[], Some(&put)).await
    }

    /// A message of that pipe, once it is there.
    pub(crate) async fn link(
        &self,
        user: UserId,
        channel: ChannelId,
        side: LinkSide,
        number: u8,
    ) -> Result<Option<Bytes>, Error> {
        let path = link_path(user, channel, side, number);
        let found: LinkMessage = self.call(Token, Method::GET, &path, &[], NOTHING).await?;
        Ok(found.message.map(|message| message.0))
    }

    pub(crate) async fn prekey_count(
        &self,
        user: UserId,
        device: DeviceId,
    ) -> Result<PrekeyCount, Error> {
        let path = format!("/v1/users/{user}/devices/{device}/prekeys");
        self.call(Token, Method::GET, &path, &[], NOTHING).await
    }

    pub(crate) async fn put_prekeys(
        &self,
        user: UserId,
        device: DeviceId,
        keys: &PutPrekeys,
    ) -> Result<PrekeyCount, Error> {
        let path = format!("/v1/users/{user}/devices/{device}/prekeys");
        self.call(Proof, Method::PUT, &path, &[], Some(keys)).await
    }

    /// Whether the user hears of what `other` sends.
    pub(crate) async fn put_block(
        &self,
        user: UserId,
        other: UserId,
        block: PutBlock,
    ) -> Result<(), Error> {
        let path = format!("/v1/users/{user}/blocks/{other}");
        self.call(Proof, Method::PUT, &path, &[], Some(&block))
            .await
    }

    /// Where the device is woken, or that it is not.
    pub(crate) async fn put_push(
        &self,
        user: UserId,
        device: DeviceId,
        push: Option<&PutPush>,
    ) -> Result<(), Error> {
        let path = format!("/v1/users/{user}/devices/{device}/push");
        let method = match push {
            Some(_) => Method::PUT,
            None => Method::DELETE,
        };
        self.call(Proof, method, &path, &[], push).await
    }

    pub(crate) async fn claim(
        &self,
        user: UserId,
        devices: Vec<DeviceId>,
    ) -> Result<Claimed, Error> {
        let path = format!("/v1/users/{user}/prekeys/claim");
        self.call(Token, Method::POST, &path, &[], Some(&Claim { devices }))
            .await
    }
}

fn link_path(user: UserId, channel: ChannelId, side: LinkSide, number: u8) -> String {
    let side = match side {
        LinkSide::Old => "old",
        LinkSide::New => "new",
    };
    format!("/v1/users/{user}/links/{channel}/{side}/{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_as_a_name_is_one() {
        let user = |name: &str| User {
            user: UserId::from_bytes([1; 16]),
            username: name.to_owned(),
        };
        assert!(named(user("bob")).is_ok());
        for name in ["", "\u{1b}[2J", "b\u{202e}ob", "bob\n", &"b".repeat(99)] {
            let error = named(user(name)).err().map(|error| error.code());
            assert_eq!(error, Some(Code::RelayMisbehaved));
        }
    }
}
