package votes

import "context"

func Main(context.Context, []string) int { return 0 }
