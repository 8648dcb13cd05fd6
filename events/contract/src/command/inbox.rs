//! The payload of the one command on the conflict inbox.

use crate::ids::ReasonCode;
use crate::text::Text;

payload! {
    /// `inbox.dismiss`: somebody looked at it and nothing needs to be done. The aggregate is the
    /// item, which bears the id of the refused command.
    DismissInboxItem {
        reason: Option<ReasonCode>,
        note: Option<Text<2000>>,
    }
}
