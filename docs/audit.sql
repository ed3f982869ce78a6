-- The ledger computed again from its archive, in plain SQL, for DuckDB.
--
-- Nothing of the program that wrote the archive is used: only the raw columns of its Parquet files
-- and the rules of the specification. Columns in which the archive itself says what it came to
-- (fold_time, source, stateless, and all of verdicts/) are read for one purpose, to be compared.
--
--     SET VARIABLE archive = '/path/to/archive';
--     SET VARIABLE as_of = 1511800000000;        -- optional: W, ms since 1970
--     .read docs/audit.sql
--
-- or `python3 docs/audit.py /path/to/archive`. The last statement lists what differs: nothing, if
-- all is well. What it leaves behind to look at: `verdicts` (a row per click, final as of W),
-- `rows_by_ad` and `rows_by_publisher` (the two views of the ledger, true as of W), the same as
-- `clickledger show` prints them in `show_by_ad`, `show_by_publisher` and `show_verdicts`,
-- `summary`, and `differences`.
--
-- "SPEC n" names the section of the specification that a statement carries out. Times are in ms
-- since 1970, money is in millionths of its currency. An unknown text is the empty text.

-- ## What the archive says it holds (SPEC 7; docs/formats/archive.md)

-- SPEC 7: only what a manifest names exists; revisions of a manifest are numbered from 1.
CREATE OR REPLACE TEMP TABLE manifests AS
SELECT * REPLACE (coalesce(revision, 0) AS revision) FROM read_json(
    getvariable('archive') || '/manifest/*.json', format = 'unstructured', filename = 'file',
    columns = {
        number: 'BIGINT', revision: 'BIGINT', previous: 'VARCHAR',
        ranges: 'STRUCT("partition" BIGINT, "to" BIGINT, begins BIGINT)[]',
        files: 'STRUCT(name VARCHAR, dataset VARCHAR, sha256 VARCHAR)[]'});

-- SPEC 7: the files of both datasets; of clicks those of the newest revision, which stand in the
-- place of the manifest's own since what tells of persons was taken out of them.
CREATE OR REPLACE TEMP TABLE files AS
SELECT getvariable('archive') || '/' || f.name AS path, f.dataset, f.sha256
FROM (SELECT number, revision, unnest(files) AS f FROM manifests)
QUALIFY f.dataset = 'verdicts' OR revision = max(revision) OVER (PARTITION BY number);

SET VARIABLE click_files = (SELECT list(path ORDER BY path) FROM files WHERE dataset = 'clicks');
SET VARIABLE verdict_files = (SELECT list(path ORDER BY path) FROM files WHERE dataset <> 'clicks');

-- SPEC 1: the log's partitions, their archived records, and when one begins that was added.
CREATE OR REPLACE TEMP TABLE partitions AS
SELECT r."partition", r."to" AS records, r.begins
FROM (SELECT unnest(ranges) AS r FROM manifests
      WHERE number = (SELECT max(number) FROM manifests));

-- ## Small functions

-- SPEC 11: method and purpose compare without case; of the letters of ASCII only.
CREATE OR REPLACE TEMP MACRO ascii_lower(text) AS
    translate(text, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz');

-- SPEC 11: a minute, counted from 1970, as `2017-11-07T09:30Z`; empty where there is none.
CREATE OR REPLACE TEMP MACRO printed(minute) AS
    coalesce(strftime(make_timestamp(minute * 60000000), '%Y-%m-%dT%H:%MZ'), '');

-- ## Records: order, time and source

-- SPEC 7: every record of the log.
CREATE OR REPLACE TEMP VIEW archived_records AS
FROM read_parquet(getvariable('click_files'), hive_partitioning = false);

-- SPEC 4, "by source": `4:` and an IPv4 address, a mapped IPv6 address being its IPv4 one; `6:` and
-- the first half of any other IPv6 address; in hex. `::` stands for the groups that are missing.
CREATE OR REPLACE TEMP TABLE addresses AS
WITH taken_apart AS (
    SELECT ip, regexp_extract(ip, '[^:]*$') AS tail,
        CASE WHEN contains(tail, '.') THEN printf('%02x%02x%02x%02x',
            split_part(tail, '.', 1)::INT, split_part(tail, '.', 2)::INT,
            split_part(tail, '.', 3)::INT, split_part(tail, '.', 4)::INT) END AS ipv4,
        CASE WHEN ipv4 IS NULL THEN ip
            ELSE ip[:-len(tail) - 1] || ipv4[1:4] || ':' || ipv4[5:8] END AS in_hex,
        list_filter(string_split(split_part(in_hex, '::', 1), ':'), lambda g: g <> '') AS before,
        list_filter(string_split(split_part(in_hex, '::', 2), ':'), lambda g: g <> '') AS after,
        list_resize([]::VARCHAR[], 8 - len(before) - len(after), '0') AS between,
        array_to_string(list_transform(
            before || between || after, lambda g: lpad(g, 4, '0')), '') AS ipv6
    FROM (SELECT DISTINCT ip FROM archived_records WHERE ip IS NOT NULL)
)
SELECT ip, CASE
    WHEN ip = tail THEN '4:' || ipv4
    WHEN starts_with(ipv6, '00000000000000000000ffff') THEN '4:' || ipv6[25:32]
    ELSE '6:' || ipv6[1:16] END AS source
FROM taken_apart;

-- SPEC 3: the fold_time of each record, the greatest so far in its partition of
-- min(append_time, sent_at + 5 min), uncapped where sent_at is unknown, and of its beginning.
CREATE OR REPLACE TEMP TABLE records AS
SELECT
    "partition", "offset", kind, append_time, sent_at,
    max(greatest(least(append_time, coalesce(sent_at + 300000, append_time)), coalesce(begins, 0)))
        OVER (PARTITION BY "partition" ORDER BY "offset") AS fold_time,
    tracker_id, epoch, seq,
    policy_id, effective_from, link_lifetime_ms, spool_limit_ms, horizon_ms, seal_after_ms,
    double_click_ms, burst_clicks,
    coalesce(click_id, '') AS click_id, coalesce(issuer, '') AS issuer,
    coalesce(user_id, '') AS user_id, coalesce(ad_id, '') AS ad_id,
    coalesce(campaign_id, '') AS campaign_id, coalesce(advertiser_id, '') AS advertiser_id,
    coalesce(publisher_id, '') AS publisher_id, coalesce(placement_id, '') AS placement_id,
    coalesce(currency, '') AS currency, price_micros, payout_micros,
    received_at, expires_at, ad_active, coalesce(method, '') AS method,
    coalesce(purpose, '') AS purpose,
    -- SPEC 4, "by source": the source key where one was kept, else the address.
    coalesce('k:' || lower(hex(source_key)), addresses.source) AS source,
    -- Only to be compared.
    fold_time AS archived_fold_time, r.source AS archived_source,
    stateless AS archived_stateless
FROM archived_records r LEFT JOIN addresses USING (ip) LEFT JOIN partitions USING ("partition");

-- SPEC 3: the log's W, the least of its partitions' last fold_times (if empty, of its beginning).
SET VARIABLE archive_w = (
    SELECT min(coalesce(last, begins, 0))
    FROM partitions
    LEFT JOIN (SELECT "partition", max(fold_time) AS last FROM records GROUP BY ALL)
        USING ("partition"));

-- SPEC 3: W, as of which the ledger is told; what lies beyond the archive's own is not known.
SET VARIABLE w = (
    SELECT CASE
        WHEN getvariable('as_of') IS NULL THEN getvariable('archive_w')
        WHEN getvariable('as_of')::BIGINT <= getvariable('archive_w')
            THEN getvariable('as_of')::BIGINT
        ELSE error('as_of lies beyond the archive, which ends at ' || getvariable('archive_w'))
    END);

-- ## Policies

-- SPEC 8: policy records of partition 0, but for those that are refused, each in force from
-- effective_from or a minute after its own fold_time, whatever is later. Number 0 is the default
-- (SPEC, constants). A number too great for its column is null and the greatest there is.
CREATE OR REPLACE TEMP TABLE accepted_policies AS
WITH told AS (
    SELECT
        "offset", policy_id, greatest(effective_from, fold_time + 60000) AS since,
        coalesce(COLUMNS(['link_lifetime_ms', 'spool_limit_ms', 'horizon_ms', 'seal_after_ms',
            'double_click_ms', 'burst_clicks']), 9223372036854775807)
    FROM records WHERE kind = 'policy' AND "partition" = 0
)
SELECT
    0 AS policy_index, 'default' AS policy_id, 0::BIGINT AS since,
    24 * 3600000::BIGINT AS link_lifetime_ms, 72 * 3600000::BIGINT AS spool_limit_ms,
    96 * 3600000::BIGINT + 300000 AS horizon_ms, 15 * 60000::BIGINT AS seal_after_ms,
    30000::BIGINT AS double_click_ms, 10::BIGINT AS burst_clicks
UNION ALL
SELECT row_number() OVER (ORDER BY "offset"), * EXCLUDE ("offset")
FROM told
WHERE horizon_ms >= link_lifetime_ms::HUGEINT + spool_limit_ms + 300000
    AND horizon_ms <= 30 * 24 * 3600000::BIGINT
    AND seal_after_ms <= 30 * 24 * 3600000::BIGINT
    AND burst_clicks BETWEEN 1 AND 100;

-- SPEC 8: when each is in force, from `since` and before `until`. Of those that begin at one
-- instant only the last in the log ever is.
CREATE OR REPLACE TEMP TABLE policies AS
SELECT *, coalesce(lead(since) OVER (ORDER BY since), 9223372036854775807) AS until
FROM (SELECT * FROM accepted_policies
      QUALIFY policy_index = max(policy_index) OVER (PARTITION BY since));

-- ## Transport

-- SPEC 2: a record whose transport identity was seen before is dropped. A tracker's numbers are
-- remembered for H after its last record (click or heartbeat) in that partition: a longer silence
-- begins a new memory. Which one it is, counts `memory`. Clicks without identity never repeat.
CREATE OR REPLACE TEMP TABLE repeats AS
WITH told AS (
    SELECT r."partition", r."offset", r.kind, r.tracker_id, r.epoch, r.seq,
        r.fold_time - lag(r.fold_time) OVER tracker > lag(p.horizon_ms) OVER tracker AS forgotten
    FROM records r ASOF JOIN policies p ON r.fold_time >= p.since
    WHERE r.kind IN ('click', 'heartbeat') AND r.tracker_id IS NOT NULL
    WINDOW tracker AS
        (PARTITION BY r.tracker_id, r.epoch, r."partition" ORDER BY r."offset")
), remembered AS (
    SELECT *, count(CASE WHEN forgotten THEN 1 END) OVER (
        PARTITION BY tracker_id, epoch, "partition" ORDER BY "offset") AS memory
    FROM told
)
SELECT "partition", "offset"
FROM remembered WHERE kind = 'click' QUALIFY row_number() OVER (
    PARTITION BY tracker_id, epoch, "partition", memory, seq ORDER BY "offset") > 1;

-- ## Verdicts

-- SPEC 4: the measured clicks. SPEC 3: `place` counts them in fold order; click_time; the minute.
-- SPEC 8: a click is judged by the policy in force at its fold_time.
CREATE OR REPLACE TEMP TABLE measured AS
SELECT
    row_number() OVER (ORDER BY r.fold_time, r."partition", r."offset") AS place,
    least(r.received_at, r.fold_time) AS click_time,
    least(r.received_at, r.fold_time) // 60000 AS minute,
    r.* EXCLUDE (policy_id, effective_from, link_lifetime_ms, spool_limit_ms, horizon_ms,
        seal_after_ms, double_click_ms, burst_clicks),
    p.policy_index, p.policy_id, p.link_lifetime_ms, p.horizon_ms, p.double_click_ms,
    p.burst_clicks
FROM records r
ASOF JOIN policies p ON r.fold_time >= p.since
ANTI JOIN repeats d ON d."partition" = r."partition" AND d."offset" = r."offset"
WHERE r.kind = 'click';

-- SPEC 4, T4 with SPEC 8: older than S when it was folded, S being the smallest of those in force
-- at any instant from received_at to fold_time.
CREATE OR REPLACE TEMP TABLE stale AS
SELECT DISTINCT c.place
FROM measured c JOIN policies p ON p.since <= c.fold_time AND p.until > c.received_at
WHERE c.fold_time - c.received_at > p.spool_limit_ms;

-- SPEC 4, stateless reasons: the record alone and the policy decide. (G9, G2, G1 and G4 need
-- lists, which no policy names yet.) `user_rules`: D1 and D2 look at clicks without any.
CREATE OR REPLACE TEMP TABLE stateless_reasons AS
SELECT
    c.place,
    -- T2: the link had expired when the request arrived, or lives too long.
    coalesce(c.received_at > c.expires_at
        OR c.expires_at - c.click_time > c.link_lifetime_ms + 300000, false) AS t2,
    -- T3: the ad was not running.
    coalesce(NOT c.ad_active, false) AS t3,
    s.place IS NOT NULL AS t4,
    -- G8: no method of a click; an unknown one says nothing.
    ascii_lower(c.method) NOT IN ('', 'get', 'post') AS g8,
    -- G5: fetched ahead, by one of the words.
    contains(ascii_lower(c.purpose), 'prefetch') OR contains(ascii_lower(c.purpose), 'prerender')
        OR contains(ascii_lower(c.purpose), 'preview') AS g5,
    NOT (t2 OR t3 OR t4 OR g8 OR g5) AS user_rules
FROM measured c LEFT JOIN stale s USING (place);

-- SPEC 4, D1: the clicks that D1 looks at. `link` is the place of the first click of the same
-- (issuer, click_id, user_id).
CREATE OR REPLACE TEMP TABLE links AS
SELECT place, fold_time, horizon_ms,
    min(place) OVER (PARTITION BY issuer, click_id, user_id) AS link
FROM measured JOIN stateless_reasons USING (place)
WHERE user_rules;

-- SPEC 4, D1: who claims. A link's first click does; then the first one for which that claim is
-- more than H ago, and so on. SPEC 8: a claim lasts for the H in force when it was made.
CREATE OR REPLACE TEMP TABLE claims AS
WITH RECURSIVE again AS MATERIALIZED (
    SELECT * FROM links WHERE place <> link
), claim AS (
    SELECT place, link, fold_time, horizon_ms FROM links WHERE place = link
    UNION ALL
    SELECT min(a.place), a.link, arg_min(a.fold_time, a.place), arg_min(a.horizon_ms, a.place)
    FROM claim c JOIN again a ON a.link = c.link
        AND a.place > c.place AND a.fold_time - c.fold_time > c.horizon_ms
    GROUP BY a.link
)
SELECT place FROM claim;

-- SPEC 4, D2: clicks that claimed, of known users, by user and ad. A click more than 10 min of
-- fold_time after the one before it cannot be double, nor can any after it look back beyond it:
-- there a new `visit` begins. `step` counts a visit's clicks.
CREATE OR REPLACE TEMP TABLE visits AS
WITH pairs AS (
    SELECT place, user_id, ad_id, fold_time, click_time, double_click_ms,
        fold_time - lag(fold_time) OVER pair > 600000 AS is_new
    FROM measured JOIN claims USING (place)
    WHERE user_id <> ''
    WINDOW pair AS (PARTITION BY user_id, ad_id ORDER BY place)
), numbered AS (
    SELECT *, count(CASE WHEN is_new THEN 1 END) OVER (
        PARTITION BY user_id, ad_id ORDER BY place) AS number
    FROM pairs
)
SELECT place, fold_time, click_time, double_click_ms,
    min(place) OVER visit AS visit, row_number() OVER (visit ORDER BY place) AS step
FROM numbered
WINDOW visit AS (PARTITION BY user_id, ad_id, number);

-- SPEC 4, D2: each visit walked click by click, with the last click that was not D2 in mind.
CREATE OR REPLACE TEMP TABLE doubles AS
WITH RECURSIVE further AS MATERIALIZED (
    SELECT * FROM visits WHERE step > 1
), walk AS (
    SELECT visit, step, place, false AS d2, click_time AS last_click, fold_time AS last_fold
    FROM visits WHERE step = 1 AND visit IN (SELECT visit FROM further)
    UNION ALL
    SELECT f.visit, f.step, f.place,
        abs(f.click_time - w.last_click) <= f.double_click_ms
            AND f.fold_time - w.last_fold <= 600000 AS is_double,
        CASE WHEN is_double THEN w.last_click ELSE f.click_time END,
        CASE WHEN is_double THEN w.last_fold ELSE f.fold_time END
    FROM walk w JOIN further f ON f.visit = w.visit AND f.step = w.step + 1
)
SELECT place FROM walk WHERE d2;

-- SPEC 4, G3: clicks of known sources, but for those with G5 and G8; once for each threshold that
-- judges any click of the source (one, unless the policy changed).
CREATE OR REPLACE TEMP TABLE sources AS
WITH seen AS (
    SELECT place, source, fold_time, click_time, burst_clicks
    FROM measured JOIN stateless_reasons USING (place)
    WHERE source IS NOT NULL AND NOT g5 AND NOT g8
)
SELECT s.*, t.burst_clicks AS threshold
FROM seen s JOIN (SELECT DISTINCT source, burst_clicks FROM seen) t USING (source);

-- SPEC 4, G3: `is_burst` where a run of one more than the threshold's clicks begins whose
-- fold_times and click_times each span less than 1 000 ms. G3 is who stands in such a run, by the
-- threshold of the policy that judges the click.
CREATE OR REPLACE TEMP TABLE bursts AS
WITH runs AS (
    SELECT *,
        count(*) OVER run = threshold + 1
            AND max(fold_time) OVER run - min(fold_time) OVER run < 1000
            AND max(click_time) OVER run - min(click_time) OVER run < 1000 AS is_burst
    FROM sources
    WINDOW run AS (PARTITION BY source, threshold ORDER BY place
        ROWS BETWEEN CURRENT ROW AND threshold FOLLOWING)
)
SELECT place FROM runs QUALIFY threshold = burst_clicks AND bool_or(is_burst) OVER (
    PARTITION BY source, threshold ORDER BY place
    ROWS BETWEEN threshold PRECEDING AND CURRENT ROW);

-- SPEC 4: all reasons of each click in the order of the table; none for a valid click.
-- SPEC 5: late, if its minute and the seal_after in force at the minute's end (SPEC 8) had passed
-- when it was folded; then it is posted to the minute of its fold_time.
CREATE OR REPLACE TEMP TABLE judged AS
SELECT
    m.* EXCLUDE (link_lifetime_ms, horizon_ms, double_click_ms, burst_clicks),
    concat_ws('+', CASE WHEN t2 THEN 'T2' END, CASE WHEN t3 THEN 'T3' END,
        CASE WHEN t4 THEN 'T4' END, CASE WHEN g8 THEN 'G8' END,
        CASE WHEN g5 THEN 'G5' END) AS stateless,
    concat_ws('+', nullif(stateless, ''),
        CASE WHEN user_rules AND c.place IS NULL THEN 'D1' END,
        CASE WHEN d.place IS NOT NULL THEN 'D2' END,
        CASE WHEN b.place IS NOT NULL THEN 'G3' END) AS reasons,
    CASE WHEN reasons = '' THEN 'V' ELSE split_part(reasons, '+', 1) END AS class,
    CASE WHEN (m.minute + 1) * 60000 + e.seal_after_ms <= m.fold_time
        THEN m.fold_time // 60000 END AS posted_minute,
    -- SPEC 3: known as of W. SPEC 4: final a second later, pending until then.
    m.fold_time < getvariable('w') AS is_known,
    m.fold_time + 1000 <= getvariable('w') AS is_final
FROM measured m
JOIN stateless_reasons USING (place)
ASOF JOIN policies e ON (m.minute + 1) * 60000 >= e.since
LEFT JOIN claims c USING (place)
LEFT JOIN doubles d USING (place)
LEFT JOIN bursts b USING (place);

-- SPEC 4: the verdicts that are final as of W.
CREATE OR REPLACE TEMP TABLE verdicts AS
SELECT "partition", "offset", class, reasons, fold_time, click_id, policy_id, policy_index
FROM judged WHERE is_final;

-- ## The ledger

-- SPEC 5: what a row counts of each click that is known as of W: it is pending, or of one class.
CREATE OR REPLACE TEMP VIEW counted AS
SELECT *, CASE WHEN is_final THEN class ELSE 'pending' END AS final,
    final = 'pending' AS pending, final = 'T2' AS T2, final = 'T3' AS T3, final = 'T4' AS T4,
    final = 'G8' AS G8, final = 'G5' AS G5, final = 'G9' AS G9, final = 'G2' AS G2,
    final = 'G1' AS G1, final = 'G4' AS G4, final = 'D1' AS D1, final = 'D2' AS D2,
    final = 'G3' AS G3, final = 'S1' AS S1, final = 'V' AS V
FROM judged WHERE is_known;

-- SPEC 5: the view by ad. Minutes are counted from 1970; posted_minute is null in ordinary rows.
CREATE OR REPLACE TEMP TABLE rows_by_ad AS
SELECT
    ad_id, minute, posted_minute, currency, campaign_id, advertiser_id,
    count(*) AS measured, count_if(COLUMNS('^(pending|[TGDSV][0-9]?)$')),
    coalesce(sum(price_micros) FILTER (final = 'V'), 0)::HUGEINT AS spend_micros
FROM counted GROUP BY ALL;

-- SPEC 5: the view by publisher and placement.
CREATE OR REPLACE TEMP TABLE rows_by_publisher AS
SELECT
    publisher_id, placement_id, minute, posted_minute, currency,
    count(*) AS measured, count_if(COLUMNS('^(pending|[TGDSV][0-9]?)$')),
    coalesce(sum(payout_micros) FILTER (final = 'V'), 0)::HUGEINT AS payout_micros
FROM counted GROUP BY ALL;

-- SPEC 11: the same as `show --format csv` prints it, in its order.
CREATE OR REPLACE TEMP VIEW show_by_ad AS
SELECT * REPLACE (printed(minute) AS minute, printed(posted_minute) AS posted_minute)
FROM rows_by_ad ORDER BY ALL;

-- SPEC 11: `show --format csv --by publisher`.
CREATE OR REPLACE TEMP VIEW show_by_publisher AS
SELECT * REPLACE (printed(minute) AS minute, printed(posted_minute) AS posted_minute)
FROM rows_by_publisher ORDER BY ALL;

-- SPEC 11: `show --verdicts`.
CREATE OR REPLACE TEMP VIEW show_verdicts AS
SELECT "partition", "offset", click_id, class, reasons FROM verdicts ORDER BY ALL;

-- ## Comparison: each check gives a row for what is not as it has to be

-- SPEC 7: the verdicts as the archive has them.
CREATE OR REPLACE TEMP TABLE archived_verdicts AS
FROM read_parquet(getvariable('verdict_files'), hive_partitioning = false);

-- SPEC 7: manifests are numbered without gaps, each names the hash of the one before, a revision
-- that of its manifest or of the revision before; and every file is what is said of it. The newest
-- manifest's hash stands for everything before it.
CREATE OR REPLACE TEMP TABLE manifest_hashes AS
SELECT m.number, m.revision, m.previous, sha256(b.content) AS hash
FROM manifests m JOIN read_blob(getvariable('archive') || '/manifest/*.json') b
    ON parse_filename(b.filename) = parse_filename(m.file);

CREATE OR REPLACE TEMP VIEW wrong_files AS
SELECT 'manifest' AS what, m.number || if(m.revision = 0, '', ' revision ' || m.revision) AS place,
    m.previous AS archived, coalesce(before.hash, '') AS computed
FROM manifest_hashes m LEFT JOIN manifest_hashes before ON
    CASE WHEN m.revision = 0 THEN before.number = m.number - 1 AND before.revision = 0
        ELSE before.number = m.number AND before.revision = m.revision - 1 END
WHERE archived <> computed
UNION ALL
SELECT 'file', path, sha256, sha256(b.content)
FROM files LEFT JOIN read_blob(
    list_concat(getvariable('click_files'), getvariable('verdict_files'))) b ON b.filename = path
WHERE sha256(b.content) IS DISTINCT FROM sha256
UNION ALL
-- SPEC 1 and 7: every record from the log's first on, each once.
SELECT 'records of partition', p."partition"::VARCHAR, p.records::VARCHAR,
    r.records || ' from ' || r.first || ' to ' || r.last
FROM partitions p LEFT JOIN (
    SELECT "partition", count(*) AS records, count(DISTINCT "offset") AS offsets,
        min("offset") AS first, max("offset") AS last
    FROM records GROUP BY "partition") r USING ("partition")
WHERE p.records > 0 AND (r.records, r.offsets, r.first, r.last)
    IS DISTINCT FROM (p.records, p.records, 0, p.records - 1)
UNION ALL -- A partition that was added begins at the fold_time of a layout record.
SELECT 'beginning of partition', "partition"::VARCHAR, begins::VARCHAR, 'no layout record'
FROM partitions WHERE begins > 0 AND begins NOT IN
    (SELECT fold_time FROM records WHERE kind = 'layout' AND "partition" = 0);

-- SPEC 3 and 4: what the archive's own columns say of time, source and stateless reasons.
CREATE OR REPLACE TEMP VIEW wrong_columns AS
SELECT 'fold_time' AS what, "partition" || '/' || "offset" AS place,
    archived_fold_time::VARCHAR AS archived, fold_time::VARCHAR AS computed
FROM records WHERE archived_fold_time IS DISTINCT FROM fold_time
UNION ALL
SELECT 'source', "partition" || '/' || "offset", archived_source, source
FROM records WHERE archived_source IS DISTINCT FROM source
UNION ALL
SELECT 'stateless', r."partition" || '/' || r."offset", r.archived_stateless, j.stateless
FROM records r LEFT JOIN judged j USING ("partition", "offset")
WHERE r.archived_stateless IS DISTINCT FROM j.stateless;

-- SPEC 4 and 7: every verdict that is final as of W, and every click that has one. Archived ones
-- that W does not make final are no difference, but have to be of measured clicks.
CREATE OR REPLACE TEMP VIEW wrong_verdicts AS
SELECT 'verdict' AS what,
    coalesce(j."partition", a."partition") || '/' || coalesce(j."offset", a."offset") AS place,
    concat_ws(' ', a.class, '[' || a.reasons || ']', a.fold_time, a.policy_id, a.policy_index)
        AS archived,
    concat_ws(' ', j.class, '[' || j.reasons || ']', j.fold_time, j.policy_id, j.policy_index)
        AS computed
FROM judged j FULL JOIN archived_verdicts a
    ON a."partition" = j."partition" AND a."offset" = j."offset"
WHERE coalesce(j.is_final, true)
    AND (a.class, a.reasons, a.fold_time, a.policy_id, a.policy_index)
        IS DISTINCT FROM (j.class, j.reasons, j.fold_time, j.policy_id, j.policy_index);

-- SPEC 5, conservation: in each row, measured = pending + all classes; per currency and minute both
-- views have the same counts.
CREATE OR REPLACE TEMP VIEW counts_of_rows AS
SELECT 'ad' AS side, minute, posted_minute, currency, measured, pending,
    [T2, T3, T4, G8, G5, G9, G2, G1, G4, D1, D2, G3, S1, V] AS counts FROM rows_by_ad
UNION ALL
SELECT 'publisher', minute, posted_minute, currency, measured, pending,
    [T2, T3, T4, G8, G5, G9, G2, G1, G4, D1, D2, G3, S1, V] FROM rows_by_publisher;

CREATE OR REPLACE TEMP VIEW unbalanced AS
SELECT 'row by ' || side AS what, printed(minute) || ' ' || currency AS place,
    measured::VARCHAR AS archived, (pending + list_sum(counts))::VARCHAR AS computed
FROM counts_of_rows WHERE measured <> pending + list_sum(counts)
UNION ALL
SELECT 'both views', printed(minute) || ' ' || printed(posted_minute) || ' ' || currency,
    list(DISTINCT side)::VARCHAR, class
FROM (SELECT side, minute, posted_minute, currency,
        unnest(['measured', 'pending', 'T2', 'T3', 'T4', 'G8', 'G5', 'G9', 'G2', 'G1', 'G4', 'D1',
            'D2', 'G3', 'S1', 'V']) AS class,
        unnest(list_concat([measured, pending], counts)) AS number
    FROM counts_of_rows)
GROUP BY minute, posted_minute, currency, class
HAVING sum(CASE WHEN side = 'ad' THEN number ELSE -number END) <> 0;

CREATE OR REPLACE TEMP TABLE differences AS
FROM wrong_files UNION ALL FROM wrong_columns UNION ALL FROM wrong_verdicts
UNION ALL FROM unbalanced;

-- What was looked at.
CREATE OR REPLACE TEMP TABLE summary AS
SELECT
    getvariable('w')::BIGINT AS as_of,
    (SELECT count(*) FROM manifests WHERE revision = 0) AS manifests,
    (SELECT hash FROM manifest_hashes ORDER BY number DESC LIMIT 1) AS newest_manifest,
    (SELECT count(*) FROM files) AS files, (SELECT count(*) FROM records) AS records,
    (SELECT count(*) FROM repeats) AS repeats, (SELECT count(*) FROM measured) AS clicks,
    (SELECT count(*) FROM verdicts) AS verdicts,
    (SELECT count(*) FROM counted WHERE NOT is_final) AS pending,
    (SELECT count(*) FROM rows_by_ad) AS rows_by_ad,
    (SELECT count(*) FROM rows_by_publisher) AS rows_by_publisher,
    (SELECT coalesce(sum(spend_micros), 0) FROM rows_by_ad) AS spend_micros,
    (SELECT coalesce(sum(payout_micros), 0) FROM rows_by_publisher) AS payout_micros,
    (SELECT count(*) FROM differences) AS differences;

-- SPEC 7: tolerance zero.
SELECT * FROM differences ORDER BY ALL;
