"""`tables/NAME/samples/*.yaml`: messages with what they must become, as unit tests of a mapping.

A file holds a sample or a list of them: `topic`, `payload` (or `payload_base64`), if need be
`received`, `properties`, `retained`, and `expect`, which has `rows`, `dead_letters`, both, or the
word `nothing`. Samples of a file are fed in their order, with the memory of a format kept between
them. They are judged for the stations of the table whose folder they are in.
"""

from collector.samples.checking import FOLDER, Samples

__all__ = ["FOLDER", "Samples"]
