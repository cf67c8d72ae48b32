// SPDX-License-Identifier: Apache-2.0
// Places for work that many ask for: how many there are, and how many of them one may hold.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

namespace trainyard {

/// Thread-safe; may end before the places that it gave out. `Who{}` is nobody in particular: it has
/// no share of its own, so that only the number of all places bounds it.
template <class Who>
class Places {
public:
    static constexpr size_t kNoLimit = std::numeric_limits<size_t>::max();
    struct Limits {
        size_t all = kNoLimit, of_one = kNoLimit;
    };

private:
    struct State {
        explicit State(const Limits& l) : limits(l) {}

        bool enter(const Who& who) {
            const std::lock_guard lock(mutex);
            const auto found = of.find(who);
            const size_t own = found == of.end() ? 0 : found->second;
            const bool is_full = all >= limits.all;
            const bool has_share = who != Who{};
            if (is_full || (has_share && own >= limits.of_one)) return ++refused, false;
            of[who] = own + 1;
            ++all;
            return true;
        }
        void leave(const Who& who) {
            const std::lock_guard lock(mutex);
            --all;
            const auto found = of.find(who);
            if (--found->second == 0) of.erase(found);
        }

        const Limits limits;
        std::mutex mutex;
        size_t all = 0;  ///< that are taken
        std::map<Who, size_t> of;
        uint64_t refused = 0;
    };

public:
    /// Is given back where it ends.
    class Place {
    public:
        Place(std::shared_ptr<State> state, const Who& who) : state_(std::move(state)), who_(who) {}
        ~Place() { state_->leave(who_); }
        Place(const Place&) = delete;
        Place& operator=(const Place&) = delete;

    private:
        const std::shared_ptr<State> state_;
        const Who who_;
    };
    using Held = std::shared_ptr<const Place>;

    explicit Places(const Limits& limits) : state_(std::make_shared<State>(limits)) {}

    /// Null: all places are taken, or all that `who` may hold.
    [[nodiscard]] Held take(const Who& who) {
        return state_->enter(who) ? std::make_shared<const Place>(state_, who) : nullptr;
    }
    /// How often `take` gave none.
    [[nodiscard]] uint64_t refused() const {
        const std::lock_guard lock(state_->mutex);
        return state_->refused;
    }

private:
    const std::shared_ptr<State> state_;
};

}  // namespace trainyard
