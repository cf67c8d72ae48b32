// SPDX-License-Identifier: Apache-2.0
// One table under one lock: it is asked once for an account and block, not once for a call.
#include "vm/code_cache.hpp"

namespace trainyard::vm {

CodeCache::Ptr CodeCache::find(const Hash& hash, Revision revision) {
    const std::scoped_lock lock(mutex_);
    const auto found = codes_.find(hash);
    const bool fits = found != codes_.end() && found->second.revision == revision;
    return fits ? found->second.code : nullptr;
}

CodeCache::Ptr CodeCache::put(const Hash& hash, Revision revision, Ptr code) {
    if (code->size() == 0) return code;  // a view that cannot read says "no code"
    const std::scoped_lock lock(mutex_);
    const auto [at, is_new] = codes_.try_emplace(hash, Entry{revision, code});
    if (!is_new) {
        if (at->second.revision != revision) at->second = {revision, std::move(code)};
        return at->second.code;
    }
    order_.push_back(hash);
    bytes_ += code->size();
    if (bytes_ > bytes_max_) make_room();
    return code;
}

void CodeCache::make_room() {
    const size_t gone = (order_.size() + 1) / 2;
    for (size_t i = 0; i < gone; ++i) {
        const auto at = codes_.find(order_[i]);
        bytes_ -= at->second.code->size();
        codes_.erase(at);
    }
    order_.erase(order_.begin(), order_.begin() + static_cast<std::ptrdiff_t>(gone));
}

}  // namespace trainyard::vm
