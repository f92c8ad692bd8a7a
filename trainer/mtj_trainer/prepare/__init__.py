"""From source music to training data: standardized, cut, described, split, and stored as shards.

What lies in the cache, which jobs may share:

    units/HASH.tar, units/HASH.json      samples of some source files, and what is known of those files
    datasets/HASH/samples.jsonl          where each sample lies in a unit, its track and its side of the split
    datasets/HASH/tracks.jsonl           each track, in the guide's metadata schema
    datasets/HASH/manifest.json          counts, hours, and what was left out and why; written last
    imports/NAME/                        a named collection as a folder of MIDI, audio and metadata
"""
