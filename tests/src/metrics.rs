//! What relay nodes say of themselves.

use std::{net::SocketAddr, time::Duration};

/// No node that lives takes longer to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The value of a series, by its name and labels as they are written; `None`: the node has no such series.
///
/// # Errors
/// The node does not answer.
pub async fn read(ops: SocketAddr, series: &str) -> Result<Option<f64>, reqwest::Error> {
    let client = reqwest::Client::builder().timeout(PATIENCE).build()?;
    let answer = client.get(format!("http://{ops}/metrics")).send().await?;
    Ok(value(&answer.text().await?, series))
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
