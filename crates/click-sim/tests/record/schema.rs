//! The schema as prost sees it: `proto/click.proto` written down a second time, by hand.

use prost::{Message, Oneof};

#[derive(Clone, PartialEq, Message)]
pub struct Record {
    #[prost(uint64, optional, tag = "1")]
    pub sent_at: Option<u64>,
    #[prost(string, tag = "2")]
    pub tracker_id: String,
    #[prost(uint64, tag = "3")]
    pub epoch: u64,
    #[prost(uint64, tag = "4")]
    pub seq: u64,
    #[prost(string, tag = "5")]
    pub previous_tracker_id: String,
    #[prost(uint64, tag = "6")]
    pub previous_epoch: u64,
    #[prost(uint64, tag = "7")]
    pub previous_next_seq: u64,
    #[prost(oneof = "Kind", tags = "10, 11, 12, 13, 14, 15")]
    pub kind: Option<Kind>,
}

#[derive(Clone, PartialEq, Oneof)]
pub enum Kind {
    #[prost(message, tag = "10")]
    Click(Box<Click>),
    #[prost(message, tag = "11")]
    Tick(Tick),
    #[prost(message, tag = "12")]
    Heartbeat(Heartbeat),
    #[prost(message, tag = "13")]
    Policy(Policy),
    #[prost(message, tag = "14")]
    Header(Header),
    #[prost(message, tag = "15")]
    Layout(Layout),
}

#[derive(Clone, PartialEq, Message)]
pub struct Click {
    #[prost(string, tag = "1")]
    pub click_id: String,
    #[prost(int32, tag = "2")]
    pub click_id_source: i32,
    #[prost(string, tag = "3")]
    pub issuer: String,
    #[prost(string, tag = "4")]
    pub user_id: String,
    #[prost(int32, tag = "5")]
    pub user_id_source: i32,
    #[prost(string, tag = "6")]
    pub ad_id: String,
    #[prost(string, tag = "7")]
    pub campaign_id: String,
    #[prost(string, tag = "8")]
    pub advertiser_id: String,
    #[prost(string, tag = "9")]
    pub publisher_id: String,
    #[prost(string, tag = "10")]
    pub placement_id: String,
    #[prost(string, tag = "11")]
    pub impression_id: String,
    #[prost(uint64, tag = "12")]
    pub price_micros: u64,
    #[prost(string, tag = "13")]
    pub currency: String,
    #[prost(uint64, tag = "14")]
    pub payout_micros: u64,
    #[prost(int32, tag = "15")]
    pub price_source: i32,
    #[prost(uint64, tag = "16")]
    pub catalogue_version: u64,
    #[prost(uint64, tag = "17")]
    pub received_at: u64,
    #[prost(uint64, optional, tag = "18")]
    pub client_time: Option<u64>,
    #[prost(int32, tag = "19")]
    pub capture: i32,
    #[prost(string, tag = "20")]
    pub method: String,
    #[prost(string, tag = "21")]
    pub purpose: String,
    #[prost(bytes = "vec", tag = "22")]
    pub ip: Vec<u8>,
    #[prost(bytes = "vec", tag = "23")]
    pub peer_ip: Vec<u8>,
    #[prost(bytes = "vec", tag = "24")]
    pub source_key: Vec<u8>,
    #[prost(string, optional, tag = "25")]
    pub user_agent: Option<String>,
    #[prost(string, tag = "26")]
    pub referrer: String,
    #[prost(string, tag = "27")]
    pub country: String,
    #[prost(string, tag = "28")]
    pub consent: String,
    #[prost(string, tag = "29")]
    pub extras: String,
    #[prost(uint64, optional, tag = "30")]
    pub expires_at: Option<u64>,
    #[prost(bool, optional, tag = "31")]
    pub ad_active: Option<bool>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Tick {}

#[derive(Clone, PartialEq, Message)]
pub struct Heartbeat {
    #[prost(uint64, tag = "1")]
    pub next_seq: u64,
}

#[derive(Clone, PartialEq, Message)]
pub struct Policy {
    #[prost(string, tag = "1")]
    pub policy_id: String,
    #[prost(uint64, tag = "2")]
    pub effective_from: u64,
    #[prost(uint64, optional, tag = "3")]
    pub link_lifetime_ms: Option<u64>,
    #[prost(uint64, optional, tag = "4")]
    pub spool_limit_ms: Option<u64>,
    #[prost(uint64, optional, tag = "5")]
    pub horizon_ms: Option<u64>,
    #[prost(uint64, optional, tag = "6")]
    pub seal_after_ms: Option<u64>,
    #[prost(uint64, optional, tag = "7")]
    pub double_click_ms: Option<u64>,
    #[prost(uint64, optional, tag = "8")]
    pub burst_clicks: Option<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Header {
    #[prost(bytes = "vec", tag = "1")]
    pub log_id: Vec<u8>,
    #[prost(uint64, tag = "2")]
    pub generation: u64,
    #[prost(uint64, tag = "3")]
    pub partitions: u64,
}

#[derive(Clone, PartialEq, Message)]
pub struct Layout {
    #[prost(bytes = "vec", tag = "1")]
    pub log_id: Vec<u8>,
    #[prost(uint64, tag = "2")]
    pub number: u64,
    #[prost(message, repeated, tag = "3")]
    pub parts: Vec<Part>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Part {
    #[prost(string, tag = "1")]
    pub topic: String,
    #[prost(uint64, tag = "2")]
    pub partitions: u64,
}
