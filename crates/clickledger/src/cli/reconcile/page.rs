//! The report as one small page that needs nothing else.

use super::causes::Report;
use super::print::{money, notes, signed};

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;\
    padding:0 1rem;color:#1c2330}table{border-collapse:collapse;width:100%;margin:1rem 0 2rem}\
    th,td{padding:.4rem .6rem;border-bottom:1px solid #dde2ea;text-align:left}\
    .n{text-align:right;font-variant-numeric:tabular-nums}th{color:#5a6475;font-weight:600}\
    h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem}.sum td{font-weight:600}";
/// Lines of the table of ads.
const SHOWN: usize = 200;

/// The page.
pub fn page(report: &Report, file: &str) -> String {
    let mut body = format!("<h1>Their count and ours: {}</h1>", escaped(file));
    body += &format!(
        "<p>{}.</p>",
        notes(report).iter().map(|n| escaped(n)).collect::<Vec<_>>().join(". ")
    );
    for (currency, [theirs, ours, difference]) in report.totals() {
        body += &format!("<h2>{}</h2>", escaped(&currency));
        body += "<table><tr><th></th><th class=n>clicks</th><th class=n>money</th></tr>";
        body += &row("", &["theirs".to_owned()], theirs.clicks.to_string(), theirs.micros);
        body += &row("", &["ours".to_owned()], ours.clicks.to_string(), ours.micros);
        for ((of_currency, cause), sum) in report.by_cause() {
            if of_currency == currency {
                body += &row("", &[cause.told()], signed(sum.clicks), sum.micros);
            }
        }
        let clicks = signed(difference.clicks);
        body += &row(
            "sum",
            &["difference: the sum of the causes".to_owned()],
            clicks,
            difference.micros,
        );
        body += "</table>";
    }
    body += "<h2>By ad, the greatest differences first</h2><table><tr><th>advertiser</th>\
        <th>ad</th><th>cause</th><th>currency</th><th class=n>clicks</th>\
        <th class=n>money</th></tr>";
    for ((advertiser, ad, currency, cause), sum) in report.by_ad().into_iter().take(SHOWN) {
        let cells = [advertiser, ad, cause.told(), currency];
        body += &row("", &cells, signed(sum.clicks), sum.micros);
    }
    body += "</table>";
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport \
         content=\"width=device-width\"><title>Reconciliation</title><style>{STYLE}</style>\
         <body>{body}</body></html>\n"
    )
}

fn row(class: &str, cells: &[String], clicks: String, micros: i128) -> String {
    let cells: String = cells.iter().map(|cell| format!("<td>{}</td>", escaped(cell))).collect();
    let money = money(micros);
    format!("<tr class=\"{class}\">{cells}<td class=n>{clicks}</td><td class=n>{money}</td></tr>")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_cannot_write_the_page() {
        assert_eq!(super::escaped("<b a=\"&\">"), "&lt;b a=&quot;&amp;&quot;&gt;");
    }
}
