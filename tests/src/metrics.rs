//! What relay nodes say of themselves.

use std::net::SocketAddr;

/// The value of a series, by its name and labels as they are written; `None`: the node does not run, or has no such series.
pub async fn read(ops: SocketAddr, series: &str) -> Option<f64> {
    let answer = reqwest::get(format!("http://{ops}/metrics")).await.ok()?;
    value(&answer.text().await.ok()?, series)
}

fn value(text: &str, series: &str) -> Option<f64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_found_by_its_whole_name() {
        let text = "# TYPE a counter\nab 1\na{why=\"x\"} 2\na 17\n";
        assert_eq!(value(text, "a"), Some(17.0));
        assert_eq!(value(text, "a{why=\"x\"}"), Some(2.0));
        assert_eq!(value(text, "b"), None);
    }
}
