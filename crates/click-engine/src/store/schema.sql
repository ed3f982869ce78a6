-- The serving store's schema, version 1 (docs/api.md, "The file ledger.db").
--
-- Minutes are whole minutes since 1970-01-01T00:00Z; posted_minute is -1 in an ordinary row.
-- Money is in micro-units: INTEGER where it fits 64 bits, else decimal TEXT, so nothing is lost.
-- version = generation << 48 | milliseconds of the log's time that the row is true as of.
-- The *_readable views show the same rows with ISO times.

CREATE TABLE IF NOT EXISTS meta (
    key   TEXT NOT NULL PRIMARY KEY,
    value ANY  NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS ad_minutes (
    ad_id         TEXT    NOT NULL,
    minute        INTEGER NOT NULL,
    posted_minute INTEGER NOT NULL,
    currency      TEXT    NOT NULL,
    campaign_id   TEXT    NOT NULL,
    advertiser_id TEXT    NOT NULL,
    measured INTEGER NOT NULL,
    pending  INTEGER NOT NULL,
    T2 INTEGER NOT NULL, T3 INTEGER NOT NULL, T4 INTEGER NOT NULL, G8 INTEGER NOT NULL,
    G5 INTEGER NOT NULL, G9 INTEGER NOT NULL, G2 INTEGER NOT NULL, G1 INTEGER NOT NULL,
    G4 INTEGER NOT NULL, D1 INTEGER NOT NULL, D2 INTEGER NOT NULL, G3 INTEGER NOT NULL,
    S1 INTEGER NOT NULL, V  INTEGER NOT NULL,
    spend_micros ANY     NOT NULL,
    version      INTEGER NOT NULL,
    PRIMARY KEY (minute, ad_id, posted_minute, currency, campaign_id, advertiser_id)
) STRICT, WITHOUT ROWID;

-- The order of `clickledger show`, and an ad's minutes.
CREATE UNIQUE INDEX IF NOT EXISTS ad_minutes_by_ad
    ON ad_minutes (ad_id, minute, posted_minute, currency, campaign_id, advertiser_id);

CREATE TABLE IF NOT EXISTS publisher_minutes (
    publisher_id  TEXT    NOT NULL,
    placement_id  TEXT    NOT NULL,
    minute        INTEGER NOT NULL,
    posted_minute INTEGER NOT NULL,
    currency      TEXT    NOT NULL,
    measured INTEGER NOT NULL,
    pending  INTEGER NOT NULL,
    T2 INTEGER NOT NULL, T3 INTEGER NOT NULL, T4 INTEGER NOT NULL, G8 INTEGER NOT NULL,
    G5 INTEGER NOT NULL, G9 INTEGER NOT NULL, G2 INTEGER NOT NULL, G1 INTEGER NOT NULL,
    G4 INTEGER NOT NULL, D1 INTEGER NOT NULL, D2 INTEGER NOT NULL, G3 INTEGER NOT NULL,
    S1 INTEGER NOT NULL, V  INTEGER NOT NULL,
    payout_micros ANY     NOT NULL,
    version       INTEGER NOT NULL,
    PRIMARY KEY (minute, publisher_id, placement_id, posted_minute, currency)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX IF NOT EXISTS publisher_minutes_by_publisher
    ON publisher_minutes (publisher_id, placement_id, minute, posted_minute, currency);

CREATE VIEW IF NOT EXISTS ad_minutes_readable AS
SELECT ad_id,
       strftime('%Y-%m-%dT%H:%MZ', minute * 60, 'unixepoch') AS minute,
       CASE WHEN posted_minute < 0 THEN ''
            ELSE strftime('%Y-%m-%dT%H:%MZ', posted_minute * 60, 'unixepoch') END AS posted_minute,
       currency, campaign_id, advertiser_id, measured, pending,
       T2, T3, T4, G8, G5, G9, G2, G1, G4, D1, D2, G3, S1, V, spend_micros, version
FROM ad_minutes;

CREATE VIEW IF NOT EXISTS publisher_minutes_readable AS
SELECT publisher_id, placement_id,
       strftime('%Y-%m-%dT%H:%MZ', minute * 60, 'unixepoch') AS minute,
       CASE WHEN posted_minute < 0 THEN ''
            ELSE strftime('%Y-%m-%dT%H:%MZ', posted_minute * 60, 'unixepoch') END AS posted_minute,
       currency, measured, pending,
       T2, T3, T4, G8, G5, G9, G2, G1, G4, D1, D2, G3, S1, V, payout_micros, version
FROM publisher_minutes;
