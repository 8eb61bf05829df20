using Index = long;
