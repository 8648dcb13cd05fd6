//! Read models of after-service: who may ask them is decided elsewhere, what they hide is decided here.
//! What the read models of every context share is in `mw-views`; production's are not known here.
