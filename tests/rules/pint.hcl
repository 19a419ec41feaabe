# What pint may say of the packs without being right.

# An inventory may have several jobs of one kind; `~` is right for one as well.
rule {
  match {
    name = "ApiDown|ApiMetricsMissing"
  }
  disable = ["promql/regexp"]
}

# That it always fires is what it is for.
rule {
  match {
    name = "Watchdog"
  }
  disable = ["alerts/comparison"]
}

# Counted while Prometheus starts, before anything scrapes it: its increase is never seen. Told only with a server to ask.
rule {
  match {
    name = "PrometheusTSDBCorruption"
  }
  disable = ["promql/counter"]
}
