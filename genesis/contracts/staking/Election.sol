// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title From contenders to the seats of a set: pure functions over words
/// @notice A contender is weight << 160 | operator; a ballot weight << 160 | ~operator, so that of equal weights the lower
/// address wins; a seat operator << 96 | sum of the weights up to and with it, so that one word serves both searches.
library Election {
    uint256 internal constant ADDRESS = type(uint160).max;

    /// The heaviest `size` of the contenders that have weight, as ballots in a min-heap's order.
    function heaviest(uint256[] storage contenders, uint256 size) internal view returns (uint256[] memory heap) {
        uint256 n = contenders.length;
        heap = new uint256[](n < size ? n : size);
        uint256 count = 0;
        for (uint256 i = 0; i < n; i++) {
            uint256 ballot = contenders[i] ^ ADDRESS;
            if (ballot >> 160 == 0) continue;
            if (count < heap.length) {
                heap[count] = ballot;
                _up(heap, count++);
            } else if (ballot > heap[0]) {
                heap[0] = ballot;
                _down(heap, count);
            }
        }
        _shorten(heap, count);
    }

    /// Caps the ballots' weights and sorts them into seats.
    function seat(uint256[] memory ballots) internal pure returns (uint256[] memory seats) {
        uint256 limit = cap(ballots);
        uint256 n = ballots.length;
        seats = new uint256[](n);
        uint256[] memory heap = new uint256[](n);
        for (uint256 i = 0; i < n; i++) {
            uint256 weight = ballots[i] >> 160;
            heap[i] = (~ballots[i] & ADDRESS) << 96 | (weight < limit ? weight : limit);
            _up(heap, i);
        }
        uint256 sum = 0;
        for (uint256 i = 0; i < n; i++) {
            sum += uint96(heap[0]);
            seats[i] = heap[0] >> 96 << 96 | sum;
            heap[0] = heap[n - 1 - i];
            _down(heap, n - 1 - i);
        }
    }

    /// The largest weight with which no single member exceeds F = (W - 1) / 3 of what then is W: alone it can neither stop
    /// the chain nor make a quorum doubtful. Of three members or fewer one always can, and nothing is cut.
    function cap(uint256[] memory ballots) internal pure returns (uint256) {
        if (ballots.length < 4) return type(uint256).max;
        (uint256 a, uint256 b, uint256 c, uint256 sum) = (0, 0, 0, 0);
        for (uint256 i = 0; i < ballots.length; i++) {
            uint256 w = ballots[i] >> 160;
            sum += w;
            if (w > a) (a, b, c) = (w, a, b);
            else if (w > b) (b, c) = (w, b);
            else if (w > c) c = w;
        }
        if (3 * a < sum) return a;
        uint256 limit = (sum - a - 1) / 2;  // one is cut
        if (limit >= b) return limit;
        limit = sum - a - b - 1;            // two are
        return limit >= c ? limit : c;      // else three: they are equal, and the rest has weight
    }

    function _up(uint256[] memory heap, uint256 at) private pure {
        unchecked {
            uint256 word = heap[at];
            while (at > 0) {
                uint256 parent = (at - 1) / 2;
                if (heap[parent] <= word) break;
                heap[at] = heap[parent];
                at = parent;
            }
            heap[at] = word;
        }
    }

    /// Moves the root of a heap of `size` words down to its place.
    function _down(uint256[] memory heap, uint256 size) private pure {
        unchecked {
            uint256 word = heap[0];
            uint256 at = 0;
            while (2 * at + 1 < size) {
                uint256 child = 2 * at + 1;
                if (child + 1 < size && heap[child + 1] < heap[child]) child++;
                if (heap[child] >= word) break;
                heap[at] = heap[child];
                at = child;
            }
            heap[at] = word;
        }
    }

    function _shorten(uint256[] memory list, uint256 length) private pure {
        assembly ("memory-safe") {
            mstore(list, length)
        }
    }
}
