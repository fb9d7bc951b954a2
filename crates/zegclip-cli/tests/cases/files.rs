//! Files: hidden ones, results of earlier runs, links, names that are not UTF-8, threads, interruptions.
