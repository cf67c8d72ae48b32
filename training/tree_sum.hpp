// SPDX-License-Identifier: Apache-2.0
// The fixed binary tree in which the micro-batches of a step are summed: numerics.md, section 14.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace trainyard::training {

/// Pairwise sum of a list by the fixed binary tree over its index: (0,1), (2,3), ...; an odd last
/// one goes up unchanged. Takes items one at a time and keeps one partial sum per level.
/// `Add(left, right)` adds the right item, which may be taken over, to the left one.
template <class Item, class Add>
class TreeSum {
public:
    explicit TreeSum(Add add) : add_(std::move(add)) {}

    /// `level`: the item is the sum of 2^level list items, whose first number that divides.
    void push(Item item, uint32_t level = 0) {
        while (!partials_.empty() && partials_.back().level == level) {
            item = join(pop(), std::move(item));
            ++level;
        }
        partials_.push_back({level, std::move(item)});
    }
    /// Precondition: at least one item was pushed.
    [[nodiscard]] Item take() {
        Item sum = pop();
        while (!partials_.empty()) sum = join(pop(), std::move(sum));
        return sum;
    }

private:
    struct Partial {
        uint32_t level;
        Item sum;
    };
    Item pop() {
        Item sum = std::move(partials_.back().sum);
        partials_.pop_back();
        return sum;
    }
    Item join(Item left, Item right) {
        add_(left, std::move(right));
        return left;
    }

    Add add_;
    std::vector<Partial> partials_;
};

}  // namespace trainyard::training
