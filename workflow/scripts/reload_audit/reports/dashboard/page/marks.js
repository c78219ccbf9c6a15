// Marks that coincide become one, which says how many it stands for.

// Of so many points those coincide that are so many pixels apart: numbers must not cover each other.
const CLOSE = [[2000, 24], [40, 14], [0, 7]];
const SIZES = [130, 220, 350, 480, 640]; // square pixels of a mark for several points, by the digits that stand on it

// :param points: with their verdict as "kind", and their shape as "at"; the first of those that coincide counts
// :param place: the position of a point in pixels, [x, y]
// :param size: of a mark for one point, in square pixels
// :return: the points that are drawn, each with size, label and "members": all points that it stands for
function merged(points, place, size) {
  const [, close] = CLOSE.find(([crowd]) => points.length >= crowd);
  const cells = new Map();
  const marks = [];
  for (const point of points) {
    const [x, y] = place(point);
    const look = point.at ? `${point.at} ${point.kind}` : ""; // only circles show several kinds
    const [column, row] = [Math.floor(x / close), Math.floor(y / close)];
    let mark = null;
    for (let near = 0; near < 9 && mark === null; near += 1) {
      const others = cells.get(`${look} ${column - 1 + (near % 3)} ${row - 1 + Math.floor(near / 3)}`) ?? [];
      mark = others.find((other) => Math.hypot(other.x - x, other.y - y) < close) ?? null;
    }
    if (mark === null) {
      mark = { x, y, members: [] };
      const cell = `${look} ${column} ${row}`;
      cells.set(cell, [...(cells.get(cell) ?? []), mark]);
      marks.push(mark);
    }
    mark.members.push(point);
  }
  return marks.map(({ members }) => {
    const digits = String(members.length).length;
    return members.length === 1
      ? { ...members[0], members, size, label: "" }
      : { ...members[0], members, size: SIZES[Math.min(digits, SIZES.length) - 1], label: String(members.length) };
  });
}

// :param marks: as merged() makes them
// :return: the sectors of those that stand for points of several kinds, a sector a kind, with angles in radians
function sectors(marks) {
  return marks.flatMap((mark) => {
    const counts = Map.groupBy(mark.members, ({ kind }) => kind);
    if (counts.size < 2) return [];
    let end = 0;
    return [...counts].map(([verdict, { length }]) => {
      const begin = end;
      end += (2 * Math.PI * length) / mark.members.length;
      return { ...mark, verdict, begin, end, radius: Math.sqrt(mark.size / Math.PI) };
    });
  });
}
