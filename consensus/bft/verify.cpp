// SPDX-License-Identifier: Apache-2.0
// One certificate against one validator set.
#include "consensus/bft/verify.hpp"

#include <algorithm>

#include "consensus/bft/view_book.hpp"

namespace trainyard::consensus::bft {

bool verify_certificate(const Certificate& certificate, const ValidatorSet& set,
                        const ChainIdentity& chain) {
    if (!is_well_formed(certificate, set)) return false;
    const auto votes = votes_of(certificate);
    return std::all_of(votes.begin(), votes.end(), [&](const Vote& vote) {
        return trainyard::verify(set.at(vote.signer).consensus_key, vote_digest(chain, vote),
                                 vote.signature);
    });
}

}  // namespace trainyard::consensus::bft
