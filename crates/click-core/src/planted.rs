//! Defects on purpose, one at a time, to see whether the checks find them.
//!
//! Only a build with the feature `planted`, which no release has, can switch one on; any other
//! build decides at compile time that there is none.

#[cfg(feature = "planted")]
use core::sync::atomic::{AtomicU8, Ordering};

macro_rules! bugs {
    ($($bug:ident: $what:literal,)*) => {
        /// What can be made wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Bug {
            $(#[doc = $what] $bug,)*
        }

        impl Bug {
            /// All of them, each with what it does.
            pub const ALL: &[(Bug, &str)] = &[$((Bug::$bug, $what),)*];
        }
    };
}

bugs! {
    ClaimIgnoresUser: "a link that two users click is a duplicate",
    ClaimIgnoresIssuer: "equal click ids of two issuers are duplicates",
    ClaimEndsEarly: "an identity is forgotten a millisecond before its horizon",
    InvalidClaims: "a click is marked as seen before it is known to count",
    TagIsEnough: "the dedup filter's hit is taken for a duplicate without comparing",
    DoubleClickEndsEarly: "a second click after exactly the span is no double click",
    DoubleMemoryEndsEarly: "the last click is forgotten at exactly ten minutes",
    DoubleClicksRemembered: "a double click prolongs the time in which others are",
    BurstTooSmall: "one click fewer is already a burst",
    BurstSpanInclusive: "clicks exactly a second apart make a burst",
    BurstIgnoresClickTime: "clicks made at different times but delivered together make a burst",
    SourceIsWholeAddress: "an IPv6 visitor has a source for each address of its network",
    MappedAddressApart: "an IPv4 address written as IPv6 is another source",
    FinalTooSoon: "a verdict is final a millisecond early",
    LateClickForgotten: "a click later than its minute's seal changes the sealed row",
    LateTooLate: "a click at exactly its minute's seal changes the sealed row",
    SkewNotCapped: "the log's clock may run ahead of the senders' without bound",
    WatermarkIgnoresPartition: "the watermark does not wait for the slowest partition",
    RepeatsCounted: "a record that is sent again counts again",
    IdentityForgottenEarly: "a sequence number is forgotten at exactly its horizon",
    PredecessorForgotten: "what a tracker says of the instance before it is ignored",
    HeartbeatForgotten: "what a heartbeat says was sent is ignored",
    SpooledToNewestPart: "a spool sends what waited in it to the newest partitions",
    PartFromTheBeginning: "a partition that is added begins at fold time 0",
    SnapshotBeyondWatermark: "a checkpoint's positions are those read, not those folded",
    SnapshotForgetsWaiting: "clicks that wait for their verdict are left out of checkpoints",
    PairsNotJournalled: "the last clicks of users are left out of the journal",
    PolicyAtOnce: "a policy is in force before its notice is over",
    PolicyUnchecked: "a policy beyond the limits is taken",
    SpoolLimitOfToday: "a click's age is held against the policy of its arrival alone",
    ExpiresTooSoon: "a link has expired at the very instant of its expiry",
    InvalidClicksPaid: "clicks that do not count are charged",
    PublisherGetsPrice: "publishers are paid the advertiser's price",
    VersionNotRaised: "a row changes and keeps its version",
    PublishedTooSoon: "a row is published with changes after its instant",
    RowLetGoTooSoon: "a row is let go of a second before it is final",
    PendingNotCleared: "a decided click stays pending in its row",
    AcknowledgedBeforeFlush: "a click is acknowledged before it is flushed",
    FlushSkipped: "the flush before the acknowledgement is left out",
    FlushErrorIgnored: "a failed flush is taken for a good one",
    ReadBeforeFlush: "readers see records that are not durable",
    DirectoryFlushSkipped: "the name of a new segment is not made durable",
    NamesNotFlushedAtOpen: "names that a failed process left unflushed are trusted",
    TailNotRewritten: "what a failed flush left in the system's memory is trusted",
    MiddleTakenForTail: "damage to durable records is cut off like a torn tail",
    MarkIgnored: "what is known to have been durable is not missed at opening",
    PlaceUnchecked: "a record is taken wherever it stands",
    ChecksumIgnored: "a record is taken without looking at its checksum",
    FullDiskAcknowledged: "what a full disk refused is acknowledged",
    StateNotFlushed: "a checkpoint is named before its content is durable",
    StateChecksumIgnored: "a checkpoint is taken without looking at its checksum",
    FullDiskEndsEngine: "an engine that has no room for a checkpoint stops",
    JournalChecksumIgnored: "journal is taken without looking at its checksum",
    JournalNotRead: "a restart does not read the journal of claims",
    RunNumberReused: "a journal file gets the number of one that a crash left behind",
    UnconfirmedNotSaved: "rows that the store has not confirmed are left out of checkpoints",
    ConfirmedUnwritten: "rows are taken for confirmed though the store did not answer",
    StoreMarkIgnored: "a store that came back older is not filled again",
    ArchivedTooSoon: "verdicts are archived before they are final",
    ArchiveCheckpointFirst: "the archiver goes on before a manifest names what it wrote",
    FailureSkipped: "records that a cluster did not confirm are taken for sent",
    BelievedBehindFailure: "what a sender confirms behind a failure is believed",
    SpoolNotAwaited: "a click is acknowledged from the own log before it is durable there",
    SentTakenForConfirmed: "the position is saved behind what was sent, not what was confirmed",
    RetentionIgnoresCluster: "an own log's old records go though the cluster has not got them",
    ResentElsewhere: "a record that is sent again goes to another partition",
    RequestForgotten: "a request to send again is taken away and nothing is sent",
    LowerVersionAccepted: "the store takes a row with a lower version",
}

#[cfg(feature = "planted")]
static PLANTED: AtomicU8 = AtomicU8::new(u8::MAX);

/// Switches one on, or all off.
#[cfg(feature = "planted")]
pub fn plant(bug: Option<Bug>) {
    PLANTED.store(bug.map_or(u8::MAX, |bug| bug as u8), Ordering::SeqCst);
}

/// Whether this one is switched on.
#[cfg(feature = "planted")]
#[inline]
pub fn planted(bug: Bug) -> bool {
    PLANTED.load(Ordering::Relaxed) == bug as u8
}

/// Never, in a build without the feature.
#[cfg(not(feature = "planted"))]
#[inline(always)]
pub const fn planted(_: Bug) -> bool {
    false
}
