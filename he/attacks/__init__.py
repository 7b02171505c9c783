"""What an adversary can do against this paradigm, run for real.

* :func:`recover_key`: Bob, given raw decryptions by a careless Alice, computes her secret key and reads her features.
* :func:`extract_model`: Alice, who decrypts the logits of every query, trains a copy of Bob's model.
"""

from sotto.he.attacks.extraction import Extraction, extract_model
from sotto.he.attacks.raw_decryption import Published, RawDecryption, recover_key

__all__ = ["Extraction", "Published", "RawDecryption", "extract_model", "recover_key"]
